"""From records to changes of the view: pure.

Of profiles and identities only the last record of a key counts, so only it is decoded. Of rulings and merges each
counts, and each that has to do with a ruling is a field of that ruling's hash. An erasure takes along what else Redis
holds of the customer: the messages that wait in its inboxes, and an export that waits to be fetched.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from connectors.outbound.inbox import CHANNELS, keys_of
from connectors.privacy.jobs import JobKeys
from connectors.serve.keys import RULING, ViewKeys, outcome_field, profile_json, record_json
from schemas.identifiers import NODE_BYTES
from schemas.topics import IDENTITIES, MATCHES, MERGES, PROFILES, RULINGS
from schemas.wire import WireError

# A value of the topic to the record that it holds; raises WireError.
Decode = Callable[[bytes], Mapping[str, Any]]

# What deletes a key, and a member of a sorted set.
GONE = b""
GONE_SCORE = "gone"

# The kinds of ruling and of news that are an erasure.
ERASE, ERASED = "erase", "erased"


# Longest id of a ruling taken, characters; ours have 32. Others may produce rulings, too, and an id is a key in Redis.
MAX_RULING_ID = 64


class Change(NamedTuple):
    """A key of the view and its new value; with a field it is one field of a hash that lasts ``RULING_LASTS_S``.

    With a ``score`` the field is a member of a sorted set; ``GONE_SCORE`` takes it out.
    """

    key: str
    value: bytes
    field: str = ""
    score: str = ""


class Bad(NamedTuple):
    """A record that cannot be used, and why."""

    code: str
    detail: str


def changes(
    topic: str, records: Iterable[tuple[bytes | None, bytes | None]], keys: ViewKeys, decode: Decode
) -> tuple[list[Change], list[Bad]]:
    """Return what a batch of one partition changes, and what of it cannot be used.

    Parameters
    ----------
    topic : one of ``SOURCES``
    records : key and value, in order; a value of None is a tombstone
    decode : of the topic's codec
    """
    good: list[tuple[bytes, bytes | None]] = []
    bad: list[Bad] = []
    for key, value in records:
        if key is None or len(key) != NODE_BYTES:
            bad.append(Bad("bad-key", f"a key of {topic} is a node of {NODE_BYTES} bytes"))
        else:
            good.append((key, value))
    found: list[Change] = []
    write = _WRITERS[topic]
    for key, value in dict(good).items() if topic in _COMPACTED else good:
        try:
            found.extend(write(keys, key, value, decode))
        except WireError as error:
            bad.append(Bad(error.code, str(error)))
    return found, bad


def _profile(keys: ViewKeys, key: bytes, value: bytes | None, decode: Decode) -> list[Change]:
    return [Change(keys.profile(key), GONE if value is None else profile_json(decode(value)))]


def _identity(keys: ViewKeys, key: bytes, value: bytes | None, decode: Decode) -> list[Change]:
    return [Change(keys.node(key), GONE if value is None else decode(value)["customer"].hex().encode())]


def _ruling(keys: ViewKeys, _: bytes, value: bytes | None, decode: Decode) -> list[Change]:
    ruling = decode(_present(RULINGS, value))
    if ruling["kind"] == ERASE and ruling["other"]:
        return []  # repeated by a worker for another identifier of the customer
    return [Change(_key_of(keys, ruling["id"]), record_json(ruling), RULING)]


def _merge(keys: ViewKeys, _: bytes, value: bytes | None, decode: Decode) -> list[Change]:
    """Return what came of a ruling; nothing for what signals brought about: the profile's story has it."""
    merge = decode(_present(MERGES, value))
    if not merge["ruling"]:
        return []
    told = Change(_key_of(keys, merge["ruling"]), record_json(merge), outcome_field(merge))
    return [told, *(_forgotten(keys, merge) if merge["kind"] == ERASED else ())]


def _forgotten(keys: ViewKeys, merge: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what an erasure leaves of a customer: marks on its nodes, each of which may have had an inbox once."""
    exports = JobKeys(keys.prefix)
    for node in merge["nodes"]:
        yield Change(keys.erased(node), merge["ruling"].encode())
        yield Change(keys.alike(node.hex()), GONE)
        yield from (Change(key, GONE) for key in (exports.job(node), exports.made(node)))
        for channel in CHANNELS:
            yield from (Change(key, GONE) for key in keys_of(keys.prefix, channel, node.hex()))


def _match(keys: ViewKeys, _: bytes, value: bytes | None, decode: Decode) -> list[Change]:
    """Return a pair's place in the review queue, while it is open; what is settled is in merges, for who asks."""
    match = decode(_present(MATCHES, value))
    id_, is_open = match["id"].hex(), match["state"] == "open"
    score = repr(match["match"]) if is_open else GONE_SCORE
    sets = [keys.matches, *(keys.alike(match[side].hex()) for side in ("node", "other"))]
    return [
        Change(keys.match(id_), record_json(match) if is_open else GONE),
        Change(keys.matches_since, GONE, id_, str(match["since_ms"]) if is_open else GONE_SCORE),
        *(Change(each, GONE, id_, score) for each in sets),
    ]


def erases(found: Iterable[Change], keys: ViewKeys) -> bool:
    """Say whether changes tell that somebody was erased."""
    return any(keys.is_erased(change.key) for change in found)


def _present(topic: str, value: bytes | None) -> bytes:
    if value is None:
        raise WireError("no-value", f"a record of {topic} without a value says nothing")
    return value


def _key_of(keys: ViewKeys, ruling: str) -> str:
    if not ruling or len(ruling) > MAX_RULING_ID or not ruling.isascii() or not ruling.isprintable():
        raise WireError("bad-ruling-id", f"a ruling's id has 1 to {MAX_RULING_ID} printable ASCII characters")
    return keys.ruling(ruling)


_COMPACTED = frozenset({PROFILES, IDENTITIES, MATCHES})
_WRITERS: Mapping[str, Callable[[ViewKeys, bytes, bytes | None, Decode], list[Change]]] = {
    PROFILES: _profile,
    IDENTITIES: _identity,
    RULINGS: _ruling,
    MERGES: _merge,
    MATCHES: _match,
}

# What the view is made of.
SOURCES = tuple(_WRITERS)
