"""What customers and groups say to each other; the protocol is in ``group`` and ``related``, caps in ``places``."""

from typing import Literal, NamedTuple

Verb = Literal["enter", "move", "leave", "seek"]


class Belong(NamedTuple):
    """An identifier of the customer ``root`` enters a group, is at another customer now, or leaves.

    ``of`` is the identifier that a referral names, b"" else; ``refers`` says that ``node`` is that identifier. It
    seeks: it is new, and may have been named before there was anybody to be told.
    """

    node: bytes
    root: bytes
    kind: str
    verb: Verb
    of: bytes
    refers: bool


class Told(NamedTuple):
    """Who is in a group now: ``mates`` are customers, 16 bytes each; ``of`` is the customer that a referral names.

    Where that has not answered yet ``of`` is its identifier. Of two tellings the one with the higher version holds.
    """

    node: bytes
    group: bytes
    kind: str
    mates: bytes
    of: bytes
    crowded: bool
    version: int


class Ask(NamedTuple):
    """Asks for a place under the household's cap, at ``at_ms``, for the decision ``id``.

    ``day`` and ``week`` are the cap as the asking root's catalogue states it. ``rest`` are other households of the
    customer that are asked next, ``held`` those that have granted. The trigger waits in the message: ``signal`` is
    the signal, in msgpack.
    """

    node: bytes
    root: bytes
    id: str
    trigger: str
    signal: bytes
    at_ms: int
    day: int | None
    week: int | None
    rest: list[bytes]
    held: list[bytes]


class Place(NamedTuple):
    """The answer: granted by all that were asked (``held``), or denied by the household ``group``.

    ``by`` is the customer whose offer stands against it.
    """

    node: bytes
    id: str
    trigger: str
    signal: bytes
    at_ms: int
    granted: bool
    group: bytes
    by: bytes
    held: list[bytes]


class Release(NamedTuple):
    """A place that was granted to this decision is not used."""

    id: str
