"""The vault: one secret per state key, so that destroying 32 bytes makes unreadable what the changelog said of a key.

A stage with a vault seals its values, each under its key's own secret: 32 random bytes, wrapped under the deployment's
seal key (AES-KW), in a compacted topic beside the changelog, partition by partition. Secret and value are written in
one transaction; so is the end of a secret, a tombstone in the vault, with what took the value's place. No compaction
of a changelog can be hurried along for one customer; the vault's few bytes are compacted within the hour.

What recovery finds
-------------------
The vault is read to its end before the changelog. Compaction works on each topic whenever it likes, but never takes a
key's last record. So, for a key whose last change was committed by transaction T:

- The vault's last word on the key is T's or an earlier one: a secret changes in transactions only that also change the
  value (``Kept.seal``). It is the secret under which T sealed, or its absence, if T's value is not sealed.
- Earlier values may still lie in the changelog, sealed under secrets that are gone or were replaced, compacted away
  or not. None is opened: recovery keeps values as they lie, and the later one takes the earlier one's place.
- A local store, or a recovery that was stopped half-way, may hold such an earlier value beside the vault's newest
  secret; the changelog's rest brings T's value before anything is read.
- A crash before T's commit leaves neither secret nor value (readers are ``read_committed``), one after it both.

What is sealed at the end of the changelog and has no secret can therefore only mean that the vault was lost, made
anew or written by somebody else: the worker says so and does not start. A secret that opens nothing, which a look into
the vault cannot tell, is found when the value is read, and ends the worker too. Neither is taken for an absent key.

Secrets lie in memory only, wrapped: no disk of a worker's holds any. Some 63 bytes a key.

References
----------
RFC 3394, AES key wrap. KIP-354: ``max.compaction.lag.ms``.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from streams.lane.due import NO_DUE, Due
from streams.lane.errors import PositionError
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.packed_map import PackedMap
from streams.lane.store import NOTHING_REFLECTED, Changes

SECRET_BYTES: Final = 32
# AES-KW adds eight bytes, by which a wrong seal key is noticed.
WRAPPED_BYTES: Final = SECRET_BYTES + 8

# A segment is compacted only once another is begun, and one is begun by a write only: this record is written to a vault
# that is quiet otherwise, so that what was destroyed last goes, too.
ROLL_KEY: Final = LANE_KEY_PREFIX + b"roll"
ROLL: Final = b"begin another segment"


class SealKey:
    """The deployment's key: wraps the secrets of all keys.

    Parameters
    ----------
    secret : of the deployment, at least 32 bytes
    before : the one that it takes the place of: opens what that one has wrapped, and wraps nothing more
    """

    def __init__(self, secret: bytes, before: bytes | None = None) -> None:
        # Of any length, and of no use for anything else that is made from the same secret.
        self._key, *self._before = (
            hashlib.blake2b(each, digest_size=32, person=b"sada-vault").digest()
            for each in (secret, before)
            if each is not None
        )

    @property
    def rotates(self) -> bool:
        """Say whether it takes another one's place."""
        return bool(self._before)

    def wrap(self, secret: bytes) -> bytes:
        """Return a secret as it lies in the vault."""
        return aes_key_wrap(self._key, secret)

    def unwrap(self, wrapped: bytes) -> bytes | None:
        """Return the secret again, or None when another key wrapped it."""
        for key in (self._key, *self._before):
            found = _unwrapped(key, wrapped)
            if found is not None:
                return found
        return None

    def anew(self, wrapped: bytes) -> bytes | None:
        """Return what the key of before has wrapped as it lies in the vault from now on; None for any other."""
        for key in () if _unwrapped(self._key, wrapped) is not None else self._before:
            secret = _unwrapped(key, wrapped)
            if secret is not None:
                return self.wrap(secret)
        return None


def _unwrapped(key: bytes, wrapped: bytes) -> bytes | None:
    try:
        return aes_key_unwrap(key, wrapped)
    except (InvalidUnwrap, ValueError):
        return None


class Vault:
    """The committed secrets of one partition. A ``Store`` as far as recovery is concerned.

    Parameters
    ----------
    seal_key : wraps them
    where : topic and partition, for errors
    draw : so many random bytes
    """

    def __init__(self, seal_key: SealKey, where: str, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._seal_key = seal_key
        self._where = where
        self._draw = draw
        # Places from which on, and up to which, secrets may be wrapped under the seal key of before.
        self._looked, self._look_until = 0, cast("int | None", None)
        self.clear()

    def __len__(self) -> int:
        return len(self._wrapped)

    def __contains__(self, key: bytes) -> bool:
        return key in self._wrapped

    def present(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those keys that have a secret."""
        return self._wrapped.present(keys)

    def secret(self, key: bytes) -> bytes | None:
        """Return a key's secret, or None.

        Raises
        ------
        PositionError
            when the deployment's seal key is another than the one that wrapped it
        """
        wrapped = self._wrapped.get(key)
        if wrapped is None:
            return None
        secret = self._seal_key.unwrap(wrapped)
        if secret is None:
            raise PositionError(
                f"{self._where}: the secret of key {key.hex()} cannot be unwrapped: the seal key (SADA_SEAL_KEY) is "
                "another than the one that wrapped it. Restore that one, or, while keys are changed, name it in "
                "SADA_SEAL_KEY_BEFORE; no other opens this state."
            )
        return secret

    def make(self) -> tuple[bytes, bytes]:
        """Return a new secret, and it wrapped."""
        secret = self._draw(SECRET_BYTES)
        return secret, self._seal_key.wrap(secret)

    def check(self) -> None:
        """Unwrap one secret: the worker must not take work with the wrong seal key.

        Raises
        ------
        PositionError
            when the seal key is the wrong one
        """
        first = next(self._wrapped.items(), None)
        if first is not None:
            self.secret(first[0])

    # ── another seal key ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def left(self) -> int:
        """How many places are still to be looked at for secrets that the seal key of before has wrapped."""
        if not self._seal_key.rotates:
            return 0
        return max(0, (self._wrapped.rows if self._look_until is None else self._look_until) - self._looked)

    def rewrap(self, most: int) -> dict[bytes, bytes]:
        """Return of the next so many secrets those that the key of before has wrapped, wrapped anew.

        They are to be written with a batch, and ``rewrapped`` is to be told of its commit: an aborted one is nothing.
        """
        if self._look_until is None:
            self._look_until = self._wrapped.rows  # what comes later is wrapped under the new one
        if not self.left:
            return {}
        found = {}
        for key in self._wrapped.keys_at(self._looked, most):
            wrapped = self._wrapped.get(key)
            anew = None if wrapped is None else self._seal_key.anew(wrapped)
            if anew is not None:
                found[key] = anew
        return found

    def rewrapped(self, most: int) -> None:
        """Go on behind what ``rewrap`` has looked at: it is committed."""
        self._looked += most

    # ── as recovery and a commit see it ──────────────────────────────────────────────────────────────────────────────

    def write(self, changes: Changes, offset: int, due: Due = NO_DUE) -> None:  # noqa: ARG002 - secrets have no timers
        """Take over committed secrets; None destroys."""
        come: dict[bytes, bytes] = {}
        if {WRAPPED_BYTES} == {-1 if wrapped is None else len(wrapped) for wrapped in changes.values()}:
            come = cast("dict[bytes, bytes]", changes)  # all that recovery finds, nearly always
            changes = {}
        for key, wrapped in changes.items():
            if wrapped is None:
                self._wrapped.pop(key)
            elif len(wrapped) == WRAPPED_BYTES:
                come[key] = wrapped
            elif not key.startswith(LANE_KEY_PREFIX):
                raise PositionError(
                    f"{self._where}: the record of key {key.hex()} has {len(wrapped)} bytes, a wrapped secret "
                    f"{WRAPPED_BYTES}. Who but the lane writes there?"
                )
        self._wrapped.set_all(come)
        self.offset = offset

    def get(self, key: bytes) -> bytes | None:
        """Return the wrapped secret under a key."""
        return self._wrapped.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and wrapped secrets."""
        return self._wrapped.items()

    def due(self) -> Iterator[Due]:
        """Iterate over nothing."""
        return iter(())

    def clear(self) -> None:
        """Forget everything."""
        self._wrapped = PackedMap(WRAPPED_BYTES)
        self._looked, self._look_until = 0, None
        self.offset = NOTHING_REFLECTED

    def close(self) -> None:
        """Let go of the memory."""
        self.clear()
