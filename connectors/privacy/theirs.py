"""Which records of the topics are a person's."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import orjson

from schemas.codecs import Codecs
from schemas.identifiers import Hasher, IdentifierError, node_of_hex
from schemas.identity_rules import IdentityRules
from schemas.topics import ACTION_CHANNELS, CHANNELS, DEAD_LETTERS, DECISIONS, actions, signals
from schemas.wire import WireError

# How an outcome names its customer: by id, not by an identifier.
_CUSTOMER_ID = "customer_id"


class Theirs:
    """Picks a person's records.

    Parameters
    ----------
    profile : of the person, as the view holds it
    codecs : of the topics
    hasher, rules : make nodes of what signals name
    """

    def __init__(self, profile: Mapping[str, Any], codecs: Codecs, hasher: Hasher, rules: IdentityRules) -> None:
        members = profile["members"]
        self._nodes = {bytes.fromhex(member["node"]) for member in members} | {bytes.fromhex(profile["customer"])}
        said = {text for member in members for text in (member["value"], member.get("original", "")) if text}
        # As raw bytes hold them: a request that could not be read, or a record that no codec takes.
        self._values = {text.encode() for text in said} | {orjson.dumps(text)[1:-1] for text in said}
        self._codecs = codecs
        self._hasher = hasher
        self._rules = rules

    @property
    def topics(self) -> Mapping[str, tuple[str, Callable[[bytes], dict[str, Any] | None]]]:
        """Return for each topic, without prefix, its section of the export, and what picks a record of theirs."""
        of_signals = {signals(c): ("signals", self._picker(signals(c), self._is_signal)) for c in CHANNELS}
        of_actions = {actions(c): ("actions", self._picker(actions(c), self._is_customer)) for c in ACTION_CHANNELS}
        return {
            **of_signals,
            **of_actions,
            DECISIONS: ("decisions", self._picker(DECISIONS, self._is_customer)),
            DEAD_LETTERS: ("dead_letters", self._dead_letter),
        }

    def _picker(self, topic: str, mine: Callable[[dict[str, Any]], bool]) -> Callable[[bytes], dict[str, Any] | None]:
        codec = self._codecs.of(topic)

        def pick(raw: bytes) -> dict[str, Any] | None:
            try:
                record = codec.decode(raw, strict=False)
            except WireError:  # it is among the dead letters, too, and found there
                return None
            return record if mine(record) else None

        return pick

    def _is_customer(self, record: Mapping[str, Any]) -> bool:
        return record["customer"] in self._nodes

    def _is_signal(self, signal: Mapping[str, Any]) -> bool:
        """Say whether a signal names one of theirs: it tells of them even where it is another's."""
        return any(self._node(each["kind"], each["value"]) in self._nodes for each in signal["identifiers"])

    def _node(self, kind: str, value: str) -> bytes | None:
        if kind == _CUSTOMER_ID:
            return node_of_hex(value)
        try:
            return self._hasher.node(self._rules.normalise(kind, value))
        except IdentifierError:
            return None

    def _dead_letter(self, raw: bytes) -> dict[str, Any] | None:
        letter = self._codecs.of(DEAD_LETTERS).decode(raw, strict=False)
        value = letter["value"] or b""
        record = self._opened(letter["topic"], value)
        if record is None:
            mine = letter["key"] in self._nodes or any(each in value for each in self._values)
        else:
            mine = self._is_customer(record) if "customer" in record else self._is_signal(record)
        if not mine:
            return None
        shown = {**letter, "value": value.decode(errors="replace")} if record is None else {**letter, "value": record}
        return dict(shown)

    def _opened(self, full_topic: str, value: bytes) -> dict[str, Any] | None:
        """Return the record in a dead letter, None where it cannot be read."""
        name = next((name for name in _SOURCES if self._codecs.topic(name) == full_topic), None)
        if name is None:
            return None
        try:
            return dict(self._codecs.of(name).decode(value, strict=False))
        except WireError:
            return None


_SOURCES: Collection[str] = (*map(signals, CHANNELS), *map(actions, ACTION_CHANNELS))
