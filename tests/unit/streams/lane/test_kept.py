"""What is personal lies sealed, what is not does not; a secret comes and goes with the value that needs it."""

import dataclasses
from collections.abc import Collection
from typing import Any

import pytest

from streams.lane.errors import PositionError
from streams.lane.examples.word_count import stage
from streams.lane.forms import Forms, is_sealed
from streams.lane.job import Stage
from streams.lane.kept import _REWRAP_AT_ONCE, Kept, Written
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
    assert not kept.has_chores
    clock.now = 1_800.0
    assert kept.has_chores
    assert ROLL_KEY in kept.seal({}, {}, ()).secrets, "an aborted batch has begun none"
    assert ROLL_KEY in commit(kept).secrets
    assert ROLL_KEY not in commit(kept).secrets


def rotating(former: Kept[str], before: bytes = b"k" * 32) -> Kept[str]:
    """Return the next worker of a partition, which has another seal key and knows the one of before."""
    assert former.vault is not None
    vault = Vault(SealKey(b"n" * 32, before), "vault[0]")
    vault.write(dict(sorted(former.vault.items())), 5)
    return Kept(sealing(), former.store, forms=Forms(), vault=vault, where="log[0]", clock_s=Clock())


def test_another_seal_key_takes_over_batch_by_batch() -> None:
    """All secrets are wrapped anew beside the work; then the former key is needed no more, and values are untouched."""
    former = make()
    many = {f"k{number:03}": f"ANNA {number}" for number in range(2 * _REWRAP_AT_ONCE)}
    commit(former, (), **many)
    kept = rotating(former)
    assert kept.vault is not None
    sealed = dict(former.store.items())
    assert kept.vault.left == len(many)
    kept.seal({}, {}, ())  # aborted: nothing of it was written
    first = secrets_of(commit(kept, k000=None, k001="BERTA", new="CARLA"))
    assert (first[b"k000"], b"k001" in first, len(first)) == (None, True, _REWRAP_AT_ONCE + 1)
    assert kept.vault.left == _REWRAP_AT_ONCE
    second = secrets_of(commit(kept))
    assert kept.vault.left == 0
    assert secrets_of(commit(kept)) == {}
    alone = Vault(SealKey(b"n" * 32), "vault[0]")
    alone.write({key: wrapped for key, wrapped in (first | second).items() if wrapped is not None}, 9)
    assert len(alone) == len(many)
    for key in (first | second).keys() - {b"k000"}:
        assert alone.secret(key) == kept.vault.secret(key)
    assert {key: value for key, value in kept.store.items() if key in sealed and key != b"k001"} == {
        key: value for key, value in sealed.items() if key not in {b"k000", b"k001"}
    }
    assert kept.get(b"k002") == b"ANNA 2"


def test_keys_of_any_length_are_wrapped_anew() -> None:
    former = make()
    commit(former, a="ANNA", longer="BERTA", b="CARLA")
    commit(former, b=None)
    assert secrets_of(commit(rotating(former))).keys() == {b"a", b"longer"}


def test_neither_the_one_nor_the_other_seal_key_opens_it() -> None:
    former = make()
    commit(former, a="ANNA")
    with pytest.raises(PositionError, match="SADA_SEAL_KEY_BEFORE"):
        rotating(former, b"x" * 32).get(b"a")
    assert rotating(former).get(b"a") == b"ANNA"
