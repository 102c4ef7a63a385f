"""The dictionaries of customers' state."""

from hashlib import sha256
from pathlib import Path

import pytest

from streams.agents import words
from streams.agents.words import state_words
from streams.lane.forms import Forms, find_zstd
from tests.bench.words import lessons

# SHA-256 of every file that state may have been written with, anywhere.
RELEASED = {"state-1.zdict": "d24320274157cc6efc31d9c7996a603e6938650a140fcf8b410dc8d56a38671e"}


@pytest.fixture(scope="module")
def others() -> list[bytes]:
    """Customers who taught the dictionary nothing."""
    return lessons(first=1_001_000, seed=5, count=40)


def test_the_newest_squeezes_and_all_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (2, 10, 9):
        (tmp_path / f"state-{number}.zdict").write_bytes(b"%d" % number)
    (tmp_path / "state-11.zdict.new").write_bytes(b"no")
    monkeypatch.setattr(words, "__file__", str(tmp_path / "words.py"))
    assert state_words() == (b"10", b"9", b"2")


def test_no_dictionary_ever_changes() -> None:
    """What was written with one is read by it, or not at all."""
    folder = Path(words.__file__).parent
    assert {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.zdict")} == RELEASED


def test_every_dictionary_has_an_id_of_its_own() -> None:
    """A frame names its dictionary by id: two of one id would be taken for each other."""
    zstd = find_zstd()
    ids = [zstd.ZstdDict(each).dict_id for each in state_words()]
    assert len(set(ids)) == len(ids) >= 1
    assert 0 not in ids
    assert all(len(each) <= 32_768 for each in state_words())


def test_it_saves_a_fifth_on_people_it_has_not_seen(others: list[bytes]) -> None:
    with_words, plain = Forms(state_words()), Forms()
    squeezed = [with_words.plain(raw) for raw in others]
    assert [with_words.open(b"", value, None) for value in squeezed] == others
    assert sum(map(len, squeezed)) < 0.8 * sum(len(plain.plain(raw)) for raw in others)
