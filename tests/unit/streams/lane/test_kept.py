"""What is personal lies sealed, what is not does not; a secret comes and goes with the value that needs it."""

import dataclasses
from collections.abc import Collection
from typing import Any

import pytest

from streams.lane.errors import PositionError
from streams.lane.examples.word_count import stage
from streams.lane.forms import Forms, is_sealed
from streams.lane.job import Stage
from streams.lane.kept import Kept, Written
from streams.lane.store import MemoryStore
from streams.lane.vault import ROLL_KEY, SealKey, Vault

KEY = SealKey(b"k" * 32)


class Clock:
    """Monotonic seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sealing() -> Stage[str]:
    """A stage of texts, of which those in capitals are personal."""
    plain: Any = stage("")
    made: Stage[str] = dataclasses.replace(
        plain, vault="vault", encode=str.encode, decode=bytes.decode, personal=str.isupper
    )
    return made


def make(clock: Clock | None = None) -> Kept[str]:
    vault = Vault(KEY, "vault[0]")
    return Kept(sealing(), MemoryStore(), forms=Forms(), vault=vault, where="log[0]", clock_s=clock or Clock())


def commit(kept: Kept[str], renew: Collection[bytes] = (), **values: str | None) -> Written:
    changed = {key.encode(): value for key, value in values.items()}
    raw = {key: None if value is None else value.encode() for key, value in changed.items()}
    written = kept.seal(raw, changed, renew)
    kept.committed(written, 1, {})
    return written


def secrets_of(written: Written) -> dict[bytes, bytes | None]:
    return {key: value for key, value in written.secrets.items() if key != ROLL_KEY}


def test_what_is_personal_lies_sealed() -> None:
    kept = make()
    written = commit(kept, a="ANNA", b="alias")
    assert list(secrets_of(written)) == [b"a"]
    assert is_sealed(kept.store.get(b"a") or b"")
    assert b"ANNA" not in (kept.store.get(b"a") or b"")
    assert kept.store.get(b"b") == b"\0alias"
    assert (kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (b"ANNA", b"alias", None)
    assert (sorted(kept), len(kept)) == ([b"a", b"b"], 2)


def test_a_secret_lasts_until_it_is_renewed() -> None:
    kept = make()
    commit(kept, a="ANNA")
    before = kept.store.get(b"a")
    assert secrets_of(commit(kept, a="ANNA B")) == {}
    assert list(secrets_of(commit(kept, renew=[b"a"], a="ANNA C"))) == [b"a"]
    assert kept.get(b"a") == b"ANNA C"
    kept.store.write({b"a": before}, 2)
    with pytest.raises(
        PositionError, match=r"log\[0\]: the value of key 61 cannot be opened: its key's secret does not"
    ):
        kept.get(b"a")


@pytest.mark.parametrize("after", [None, "alias"])
def test_a_secret_goes_with_what_it_sealed(after: str | None) -> None:
    kept = make()
    commit(kept, a="ANNA")
    before = kept.store.get(b"a")
    assert secrets_of(commit(kept, a=after)) == {b"a": None}
    assert kept.vault is not None
    assert len(kept.vault) == 0
    assert kept.get(b"a") == (None if after is None else after.encode())
    assert secrets_of(commit(kept, a=after)) == {}
    kept.store.write({b"a": before}, 2)
    with pytest.raises(PositionError, match="it is sealed, and its key has no secret"):
        kept.get(b"a")


def test_sealing_changes_nothing_before_the_commit() -> None:
    """A batch that is aborted is sealed again, from the state as the last commit left it."""
    kept = make()
    commit(kept, a="ANNA", b="BERTA")
    kept.seal({b"a": b"x", b"b": None, b"c": b"CARLA"}, {b"a": "x", b"b": None, b"c": "CARLA"}, ())
    assert (kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (b"ANNA", b"BERTA", None)
    assert kept.vault is not None
    assert len(kept.vault) == 2


def test_without_a_vault_values_are_squeezed_at_most() -> None:
    plain = Kept[str](sealing(), MemoryStore())
    assert plain.seal({b"a": b"ANNA"}, {b"a": "ANNA"}, ()) == ({b"a": b"ANNA"}, {})
    squeezing = Kept[str](sealing(), MemoryStore(), forms=Forms())
    written = squeezing.seal({b"a": b"ANNA" * 99, b"b": None}, {b"a": "ANNA" * 99, b"b": None}, ())
    assert len(written.changes[b"a"] or b"") < 50
    squeezing.committed(written, 1, {})
    assert squeezing.get(b"a") == b"ANNA" * 99


def test_what_recovery_cannot_open_is_told_at_its_end() -> None:
    """Only the last word on a key counts: what compaction has not yet taken away may be sealed under what is gone."""
    other, kept = make(), make()
    sealed = commit(other, a="ANNA", b="BERTA").changes
    kept.replayed(sealed)
    with pytest.raises(PositionError, match=r"log\[0\]: 2 values are sealed, and the vault has no secret.*of key 61"):
        kept.check()
    kept.replayed({b"a": None})
    with pytest.raises(PositionError, match=r"log\[0\]: 1 values are sealed"):
        kept.check()
    kept.replayed({b"b": b"\0alias"})
    kept.check()


def test_a_quiet_vault_begins_new_segments() -> None:
    """What was destroyed last would else lie in a segment that nobody writes to, and that is never cleaned."""
    clock = Clock()
    kept = make(clock)
    assert ROLL_KEY in commit(kept, a="x").secrets
    clock.now = 1_799.0
    assert ROLL_KEY not in commit(kept, a="x").secrets
    clock.now = 1_800.0
    assert ROLL_KEY in kept.seal({}, {}, ()).secrets, "an aborted batch has begun none"
    assert ROLL_KEY in commit(kept).secrets
    assert ROLL_KEY not in commit(kept).secrets
