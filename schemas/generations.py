"""Generations: what the topic ``generations`` holds. One record says which is live; partitions answer beside it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from schemas.topics import FIRST, GENERATIONS, TOPICS
from schemas.wire import codec_of

# Key of the only record that says which generation is live.
TABLE_KEY = b"table"


@dataclass(frozen=True, slots=True)
class Known:
    """A generation that there is.

    Parameters
    ----------
    partitions : of its customers' topics
    identity, rules : texts of its identity.yaml and rules.yaml; None: what the settings say
    before : the generation that it was built from
    made_at_ms : epoch ms
    """

    name: str
    partitions: int
    identity: str | None = None
    rules: str | None = None
    before: str = ""
    made_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """All generations that there are, and which one decides.

    Parameters
    ----------
    live : its name
    known : oldest first
    switching : a switch to the last of them has begun; it can only go on
    """

    live: str
    known: tuple[Known, ...]
    switching: bool = False

    def of(self, name: str) -> Known:
        """Return a generation.

        Raises
        ------
        KeyError
            when there is none of that name
        """
        for each in self.known:
            if each.name == name:
                return each
        raise KeyError(name)

    def names(self) -> tuple[str, ...]:
        """Return the names of all, oldest first."""
        return tuple(each.name for each in self.known)

    def next_name(self) -> str:
        """Return the name of the next generation.

        Examples
        --------
        >>> first_table(3).next_name()
        'g2'
        """
        return f"g{1 + max(int(each.name[1:]) for each in self.known)}"

    def without(self, name: str) -> "Table":
        """Return the table without a generation."""
        return replace(self, known=tuple(each for each in self.known if each.name != name))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a partition answered to a phase: see schemas/avro/generation.avsc."""

    generation: str
    partition: int
    phase: str
    stream_ms: int
    due: int
    read: Mapping[str, int]


def first_table(partitions: int) -> Table:
    """Return the table before any rebuild."""
    return Table(FIRST, (Known(FIRST, partitions),))


def table_value(table: Table) -> bytes:
    """Return the table's record."""
    known: list[dict[str, Any]] = [asdict(each) for each in table.known]
    return _CODEC.encode({"live": table.live, "switching": table.switching, "known": known})


def read_table(value: bytes) -> Table:
    """Return the table that a record holds.

    Raises
    ------
    WireError
        when it holds none
    """
    found = _CODEC.decode(value)
    return Table(found["live"], tuple(Known(**each) for each in found["known"]), found["switching"])


def read_answer(value: bytes) -> Answer | None:
    """Return the answer that a record holds, if any.

    Raises
    ------
    WireError
        when it is no record of ``generations``
    """
    found = _CODEC.decode(value)["answer"]
    return None if found is None else Answer(**found)


_CODEC = codec_of(TOPICS[GENERATIONS].schema)
