"""One partition's committed values, as its job wrote them, over the store where they lie squeezed and sealed."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from streams.lane.due import Due
from streams.lane.errors import FormError, PositionError
from streams.lane.forms import Forms, is_sealed, sealed_keys
from streams.lane.job import Stage
from streams.lane.store import Changes, Store
from streams.lane.vault import ROLL, ROLL_KEY, Vault

V = TypeVar("V")

# Half an hour: with the vault's hour until compaction, what is destroyed is gone within two, on a quiet partition too.
_ROLL_EVERY_S = 1_800.0
# 250 a batch, some 5 ms, while the seal key is changed: a million customers in an hour of a batch a second.
_REWRAP_AT_ONCE = 250


class Written(NamedTuple):
    """A batch's changes as they are written.

    Parameters
    ----------
    changes : values in their form, by key; None deletes
    secrets : records of the vault: wrapped secrets by key; None destroys
    """

    changes: dict[bytes, bytes | None]
    secrets: dict[bytes, bytes | None]


class Kept(Generic[V]):
    """Reads and writes one partition's values in their form. Reads are safe from any thread.

    Parameters
    ----------
    stage : whose values
    store : where they lie
    forms : of the stage; None: values lie as the job wrote them
    vault : of the partition; None: nothing is sealed
    where : changelog and partition, for errors
    clock_s : monotonic, seconds
    """

    def __init__(
        self,
        stage: Stage[V],
        store: Store,
        *,
        forms: Forms | None = None,
        vault: Vault | None = None,
        where: str = "",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.vault = vault
        self._forms = forms
        self._personal = stage.personal
        self._where = where
        self._clock_s = clock_s
        self._rolled_at = -_ROLL_EVERY_S
        # Value and secret change together, and are read together.
        self._lock = threading.Lock()
        # Keys whose value, as recovery has found it so far, is sealed under a secret that the vault does not have.
        self._locked_out: set[bytes] = set()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value under a key as its job wrote it, or None.

        Raises
        ------
        PositionError
            when it is there and cannot be opened
        """
        if self._forms is None:
            return self.store.get(key)
        with self._lock:
            value = self.store.get(key)
            secret = self.vault.secret(key) if self.vault is not None and value and is_sealed(value) else None
        if value is None:
            return None
        try:
            return self._forms.open(key, value, secret)
        except FormError as exc:
            raise PositionError(
                f"{self._where}: the value of key {key.hex()} cannot be opened: {exc}. {_WHAT_TO_DO}"
            ) from None

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over all keys of the job."""
        return (key for key, _ in self.store.items())

    def __len__(self) -> int:
        return len(self.store)

    # ── recovery ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def replayed(self, changes: Changes) -> None:
        """Note which of the values that recovery has just found are sealed and have no secret."""
        vault, locked_out = self.vault, self._locked_out
        if vault is None:
            return
        if locked_out:
            locked_out.difference_update(changes)
        sealed = sealed_keys(changes)
        locked_out.update(sealed)
        locked_out.difference_update(vault.present(sealed))

    def check(self) -> None:
        """Make sure, once all is recovered, that every sealed value has its secret, and that the seal key is right.

        Raises
        ------
        PositionError
            naming how many values have none, and one of their keys
        """
        if self.vault is None:
            return
        self.vault.check()
        if self._locked_out:
            raise PositionError(
                f"{self._where}: {len(self._locked_out)} values are sealed, and the vault has no secret for them; one "
                f"is of key {min(self._locked_out).hex()}. {_WHAT_TO_DO}"
            )

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def seal(self, changes: Changes, values: Mapping[bytes, V | None], renew: Collection[bytes]) -> Written:
        """Return a batch's changes in their form, with the secrets that come and go with them; nothing is changed here.

        Parameters
        ----------
        changes : encoded values
        values : the same, not encoded: they say whether they are personal
        renew : keys whose secret is replaced
        """
        forms, vault = self._forms, self.vault
        if forms is None:
            return Written(dict(changes), {})
        if vault is None:
            return Written({key: None if raw is None else forms.plain(raw) for key, raw in changes.items()}, {})
        written: dict[bytes, bytes | None] = {}
        secrets: dict[bytes, bytes | None] = {}
        for key, raw in changes.items():
            value = values[key]
            if raw is None or value is None or not self._personal(value):
                if key in vault:
                    secrets[key] = None
                written[key] = None if raw is None else forms.plain(raw)
                continue
            secret = None if key in renew else vault.secret(key)
            if secret is None:
                secret, secrets[key] = vault.make()
            written[key] = forms.sealed(key, raw, secret)
        # Whatever this batch does to a secret it does under the new key, or destroys it.
        secrets = {**vault.rewrap(_REWRAP_AT_ONCE), **secrets}
        if self._clock_s() - self._rolled_at >= _ROLL_EVERY_S:
            secrets[ROLL_KEY] = ROLL
        return Written(written, secrets)

    @property
    def has_chores(self) -> bool:
        """Whether the vault needs a batch though there may be no work: a roll is due, or secrets are to be wrapped."""
        if self.vault is None:
            return False
        return self.vault.left > 0 or self._clock_s() - self._rolled_at >= _ROLL_EVERY_S

    def committed(self, written: Written, offset: int, due: Due) -> None:
        """Take over a batch that the broker has committed."""
        with self._lock:
            self.store.write(written.changes, offset, due)
            if self.vault is not None:
                self.vault.write(written.secrets, self.vault.offset)
                self.vault.rewrapped(_REWRAP_AT_ONCE)
        if ROLL_KEY in written.secrets:
            self._rolled_at = self._clock_s()

    def close(self) -> None:
        """Let go of store and secrets."""
        self.store.close()
        if self.vault is not None:
            self.vault.close()


_WHAT_TO_DO = (
    "Was the vault emptied or made anew, or written by somebody else? Restore it; without it these values are lost, "
    "and the stage must be rebuilt from its sources."
)
