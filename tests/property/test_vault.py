"""Whatever compaction has taken and wherever a worker stopped: recovery finds the last word on every key, and only it.

Transactions of random changes are written to a changelog and a vault as the lane writes them; each topic is compacted
as it likes; a worker recovers them in chunks, from nothing or from a local store of some earlier moment.
"""

import dataclasses
from math import inf
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.lane.errors import FormError
from streams.lane.examples.word_count import stage
from streams.lane.forms import Forms, is_sealed
from streams.lane.job import LANE_KEY_PREFIX, Stage
from streams.lane.kept import Kept
from streams.lane.store import MemoryStore
from streams.lane.vault import SealKey, Vault

SEAL_KEY = SealKey(b"k" * 32)
PLAIN: Any = stage("")
STAGE: Stage[str] = dataclasses.replace(
    PLAIN, vault="vault", encode=str.encode, decode=bytes.decode, personal=str.isupper
)
KEYS = [b"a", b"b", b"c"]


class Change(NamedTuple):
    """What a transaction does to a key."""

    value: str | None
    renew: bool


CHANGES = st.builds(Change, st.sampled_from(["ANNA", "BERTA" * 30, "alias", None]), st.booleans())
TRANSACTIONS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(KEYS), CHANGES, max_size=3), st.booleans()), max_size=12
)
Log = list[tuple[int, bytes, bytes | None]]


class Life:
    """A partition that lives through transactions: its logs, and what is true after each."""

    def __init__(self) -> None:
        self.forms = Forms()
        self.kept = self.new(MemoryStore())
        self.changelog: Log = []
        self.vault: Log = []
        self.truth: dict[bytes, str] = {}
        # The store as it was after each commit, with the offset that it reflects.
        self.stores: list[tuple[int, dict[bytes, bytes]]] = [(-1, {})]
        # Values whose secret was destroyed or renewed since.
        self.dead: list[tuple[bytes, bytes]] = []

    def new(self, store: MemoryStore) -> Kept[str]:
        return Kept(STAGE, store, forms=self.forms, vault=Vault(SEAL_KEY, "vault[0]"), where="log[0]")

    def run(self, changes: dict[bytes, Change], *, commits: bool) -> None:
        raw = {key: None if change.value is None else change.value.encode() for key, change in changes.items()}
        values = {key: change.value for key, change in changes.items()}
        renew = {key for key, change in changes.items() if change.renew}
        written = self.kept.seal(raw, values, renew)
        if not commits:  # nobody who reads committed records ever sees it
            return
        for key, (value, renewed) in changes.items():
            if renewed or value is None or not value.isupper():
                self.dead += [(key, v) for _, k, v in self.changelog if k == key and v is not None and is_sealed(v)]
        self.vault += [(len(self.vault) + at, *record) for at, record in enumerate(written.secrets.items())]
        self.changelog += [(len(self.changelog) + at, *record) for at, record in enumerate(written.changes.items())]
        self.kept.committed(written, len(self.changelog) - 1, {})
        for key, value in values.items():
            self.truth.pop(key, None)
            if value is not None:
                self.truth[key] = value
        self.stores.append((len(self.changelog) - 1, dict(self.kept.store.items())))


def compacted(log: Log, data: st.DataObject, reflected: float = inf) -> Log:
    """Take away any records but each key's last, and last tombstones that stand for nothing any more.

    Not tombstones that the local store has not seen: Kafka keeps them for a day, and no store is trusted so long.
    """
    left: Log = []
    last = {key: offset for offset, key, _ in log}
    for offset, key, value in log:
        if offset == last[key]:
            bare = value is None and offset <= reflected and not any(k == key for _, k, _ in left)
            if not (bare and data.draw(st.booleans())):
                left.append((offset, key, value))
        elif data.draw(st.booleans()):
            left.append((offset, key, value))
    return left


@given(TRANSACTIONS, st.data())
def test_any_compaction_any_crash(transactions: list[tuple[dict[bytes, Change], bool]], data: st.DataObject) -> None:
    life = Life()
    for changes, commits in transactions:
        life.run(changes, commits=commits)
    reflected, held = data.draw(st.sampled_from(life.stores))
    store = MemoryStore()
    store.write(held, reflected)
    back = life.new(store)
    assert back.vault is not None
    for offset, key, wrapped in compacted(life.vault, data):
        back.vault.write({key: wrapped}, offset)
    rest = [record for record in compacted(life.changelog, data, reflected) if record[0] > reflected]
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        chunk = {key: value for _, key, value in rest[:count]}
        back.store.write(chunk, rest[count - 1][0])
        back.replayed(chunk)
        rest = rest[count:]
    back.check()
    assert {key: back.get(key) for key in KEYS} == {
        key: life.truth[key].encode() if key in life.truth else None for key in KEYS
    }
    assert {key for key, _ in back.vault.items() if not key.startswith(LANE_KEY_PREFIX)} == {
        key for key, value in life.truth.items() if value.isupper()
    }
    for key, value in life.dead:
        assert not opens(life.forms, key, value, back.vault.secret(key))


def opens(forms: Forms, key: bytes, value: bytes, secret: bytes | None) -> bool:
    try:
        forms.open(key, value, secret)
    except FormError:
        return False
    return True
