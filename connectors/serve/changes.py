"""From records to changes of the view: pure. Only the last record of a key counts, so only it is decoded."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from connectors.serve.keys import ViewKeys, profile_json
from schemas.identifiers import NODE_BYTES
from schemas.topics import IDENTITIES, PROFILES
from schemas.wire import WireError

# A value of the topic to the record that it holds; raises WireError.
Decode = Callable[[bytes], Mapping[str, Any]]

# What deletes a key.
GONE = b""


class Change(NamedTuple):
    """A key of the view and its new value."""

    key: str
    value: bytes


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
    topic : ``profiles`` or ``identities``
    records : key and value, in order; a value of None is a tombstone
    decode : of the topic's codec
    """
    last: dict[bytes, bytes | None] = {}
    bad: list[Bad] = []
    for key, value in records:
        if key is None or len(key) != NODE_BYTES:
            bad.append(Bad("bad-key", f"a key of {topic} is a node of {NODE_BYTES} bytes"))
        else:
            last[key] = value
    found: list[Change] = []
    for key, value in last.items():
        try:
            found.append(_WRITERS[topic](keys, key, value, decode))
        except WireError as error:
            bad.append(Bad(error.code, str(error)))
    return found, bad


def _profile(keys: ViewKeys, key: bytes, value: bytes | None, decode: Decode) -> Change:
    if value is None:
        return Change(keys.profile(key), GONE)
    return Change(keys.profile(key), profile_json(decode(value)))


def _identity(keys: ViewKeys, key: bytes, value: bytes | None, decode: Decode) -> Change:
    if value is None:
        return Change(keys.node(key), GONE)
    return Change(keys.node(key), decode(value)["customer"].hex().encode())


_WRITERS = {PROFILES: _profile, IDENTITIES: _identity}
