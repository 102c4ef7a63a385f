"""Sealed state on a real broker: exact under accidents, unreadable without its secrets, and never taken for absent."""

import signal
from collections import Counter
from typing import Any

import pytest

from streams.lane.errors import FormError
from streams.lane.forms import Forms, is_sealed
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.reading import last_values
from streams.lane.vault import ROLL_KEY, WRAPPED_BYTES, SealKey, Vault

pytestmark = pytest.mark.kafka

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import
SEAL_KEY = "6b" * 32
SEALED = f"sealed={SEAL_KEY}"
NEXT_KEY = "6e" * 32


def create(floor: Floor, partitions: int = 1) -> None:
    floor.create_word_count(partitions)
    floor.create({"vault": partitions}, compacted=("vault",))


def state(floor: Floor, seal_key: str = SEAL_KEY) -> Counter[bytes]:
    """Totals per word, opened with what the vault holds."""
    totals: Counter[bytes] = Counter()
    values, secrets = floor.read("words-changelog"), floor.read("vault")
    for partition in {message.partition() for message in values}:
        records = [
            [(message.key(), message.value()) for message in topic if message.partition() == partition]
            for topic in (values, secrets)
        ]
        for word, total in last_values(*records, seal_key=bytes.fromhex(seal_key)).items():
            totals[word] += int(total)
    return totals


def wait_counted(floor: Floor, seal_key: str = SEAL_KEY) -> None:
    total: int = sum(floor.truth.values())

    def counted() -> bool:
        try:
            return sum(state(floor, seal_key).values()) >= total
        except FormError:  # a secret went between the reading of the one topic and of the other
            return False

    floor.wait(counted)


@pytest.mark.parametrize("accident", ["kill_before_commit=7", "kill_after_commit=7"])
def test_kills_lose_no_secret(floor: Floor, accident: str) -> None:
    """Value and secret are committed together, or neither is: the next owner opens everything, and counts on."""
    create(floor)
    floor.send_lines(2_000)
    assert floor.start(SEALED, accident).wait(20) == -signal.SIGKILL
    floor.start(SEALED)
    floor.send_lines(501, begin=2_000)
    wait_counted(floor)
    assert state(floor) == floor.truth
    assert floor.repeats_of(b"salam") == 0
    unlike = [m for m in floor.read("words-changelog") if not m.key().startswith(LANE_KEY_PREFIX)]
    opened = [m for m in unlike if not is_sealed(m.value())]
    assert 0 < len(opened) < len(unlike)
    assert all(int(m.value()[1:]) % 2 == 0 for m in opened)


def test_what_lost_its_secret_is_unreadable_whatever_the_changelog_still_holds(floor: Floor) -> None:
    create(floor)
    worker = floor.start(SEALED)
    for number in range(3):
        floor.send_lines(1, begin=number)
        wait_counted(floor)
    worker.terminate()
    assert worker.wait(20) == 0
    vault = Vault(SealKey(bytes.fromhex(SEAL_KEY)), "vault")
    vault.write({message.key(): message.value() for message in floor.read("vault")}, 0)
    values = [m.value() for m in floor.read("words-changelog") if m.key() == b"salam"]
    assert [is_sealed(value) for value in values] == [True, False, True]
    with pytest.raises(FormError):
        Forms().open(b"salam", values[0], vault.secret(b"salam"))
    assert Forms().open(b"salam", values[2], vault.secret(b"salam")) == b"3"


def test_a_store_on_disk_holds_what_is_sealed_and_no_secret(floor: Floor) -> None:
    create(floor)
    store = f"rocksdb={floor.folder / 'store'}"
    floor.send_lines(301)
    first = floor.start(SEALED, store)
    wait_counted(floor)
    first.kill()
    first.wait()
    second = floor.start(SEALED, store)
    floor.send_lines(100, begin=301)
    wait_counted(floor)
    second.terminate()
    assert second.wait(20) == 0
    assert "is rebuilt" not in floor.log_of(second)
    assert state(floor) == floor.truth
    (folder,) = (floor.folder / "store").glob("*/0")
    found = _values_in(folder)
    assert {key for key, value in found.items() if is_sealed(value)} == {
        word for word, total in floor.truth.items() if total % 2
    }
    wrapped = {message.value() for message in floor.read("vault") if message.value()}
    on_disk = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert not any(secret in on_disk for secret in wrapped)


def _values_in(folder: Any) -> dict[bytes, bytes]:
    from rocksdict import Options, Rdict

    found = Rdict(str(folder), Options(raw_mode=True))
    try:
        return {key: value for key, value in found.items() if not key.startswith(LANE_KEY_PREFIX)}
    finally:
        found.close()


def _counted(floor: Floor) -> None:
    create(floor)
    floor.send_lines(301)
    worker = floor.start(SEALED)
    wait_counted(floor)
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_lost_vault_is_told(floor: Floor) -> None:
    """Without its secrets state is not absent: counting from nothing would hide the loss."""
    _counted(floor)
    floor.recreate("vault", 1, compacted=True)
    worker = floor.start(SEALED)
    assert worker.wait(20) == 78
    assert "words-changelog[0]: 20 values are sealed, and the vault has no secret" in floor.log_of(worker)


def test_another_seal_key_is_told(floor: Floor) -> None:
    _counted(floor)
    worker = floor.start(f"sealed={'6c' * 32}")
    assert worker.wait(20) == 78
    assert "is another than the one that wrapped it" in floor.log_of(worker)


def test_the_seal_key_is_changed_while_the_work_goes_on(floor: Floor) -> None:
    """With both keys every secret is wrapped anew; then the new one alone opens all, and the former one nothing."""
    _counted(floor)
    both = floor.start(f"sealed={NEXT_KEY}:{SEAL_KEY}")  # nothing comes in meanwhile
    floor.wait(lambda: _wrapped_by(floor, NEXT_KEY))
    both.terminate()
    assert both.wait(20) == 0
    alone = floor.start(f"sealed={NEXT_KEY}")
    floor.send_lines(100, begin=301)
    wait_counted(floor, NEXT_KEY)
    alone.terminate()
    assert alone.wait(20) == 0
    assert state(floor, NEXT_KEY) == floor.truth
    assert floor.start(SEALED).wait(20) == 78


def test_a_partition_that_nobody_writes_to_begins_new_segments(floor: Floor) -> None:
    """Else a secret that was destroyed last would lie in the vault's last segment until somebody writes again."""
    create(floor, 2)
    floor.start(SEALED)
    floor.wait(lambda: sorted(m.partition() for m in floor.read("vault") if m.key() == ROLL_KEY) == [0, 1])


def _wrapped_by(floor: Floor, seal_key: str) -> bool:
    """Say whether this key opens every secret that there is, and all lines are counted."""
    last = {message.key(): message.value() for message in floor.read("vault")}
    key = SealKey(bytes.fromhex(seal_key))
    opened = [key.unwrap(wrapped) for wrapped in last.values() if wrapped is not None and len(wrapped) == WRAPPED_BYTES]
    return None not in opened and sum(state(floor, seal_key).values()) >= sum(floor.truth.values())


def test_a_missing_vault_is_named(floor: Floor) -> None:
    floor.create_word_count(1)
    worker = floor.start(SEALED)
    assert worker.wait(20) == 78
    assert f"topic {floor.prefix}vault does not exist" in floor.log_of(worker)
