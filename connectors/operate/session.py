"""What the command line opens: identifiers to nodes, the view in Redis, and a producer that waits for Kafka."""

import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import orjson
import redis
from confluent_kafka import KafkaException, Producer

from connectors.operate.graph import Profile
from connectors.operate.reviews import Review, review_of, standing
from connectors.operate.rulings import Ruling, outcome_of, to_kafka
from connectors.serve.keys import ViewKeys
from schemas.identifiers import NODE_BYTES, Hasher, IdentifierError, node_of_hex
from streams.generations import live_settings
from streams.settings import Settings

# How long Kafka may take to keep a ruling, and Redis to answer, in seconds: a person waits.
_ACK_S = 10.0
_REDIS_S = 2.0

# How often the view is asked what came of a ruling, in seconds.
_LOOK_EVERY_S = 0.1


class AwayError(Exception):
    """Kafka or Redis does not answer; the message says which and what to do."""


class Session:
    """One run of a command.

    Parameters
    ----------
    settings : ``node_key``, Kafka and Redis are needed; the rules of identity are those of every other door
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = settings.identity_rules()
        self._hasher = Hasher(settings.secret("node_key"))
        url = settings.redis.get_secret_value()
        self._redis = redis.Redis.from_url(url, socket_timeout=_REDIS_S, socket_connect_timeout=_REDIS_S)

    @cached_property
    def live(self) -> Settings:
        """The live generation's settings; Redis is asked first, for Kafka is waited for much longer.

        Raises
        ------
        AwayError
            when Redis does not answer
        SettingsError
            when Kafka does not say which generation is live
        """
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise _redis_away(error) from None
        return live_settings(self._settings)

    @cached_property
    def _keys(self) -> ViewKeys:
        return ViewKeys(self.live.view_prefix, self.live.topic_prefix)

    def node(self, text: str) -> bytes:
        """Return the node that KIND:VALUE or node:HEX names.

        Raises
        ------
        IdentifierError
            when it names none
        """
        kind, colon, value = text.partition(":")
        if not colon:
            raise IdentifierError("bad-form", "write KIND:VALUE, for example email:sara@example.com, or node:HEX")
        if kind != "node":
            return self._hasher.node(self._rules.normalise(kind, value))
        node = node_of_hex(value)
        if node is None:
            raise IdentifierError("bad-node", f"a node has {2 * NODE_BYTES} hexadecimal digits")
        return node

    def profile(self, node: bytes) -> Profile | None:
        """Return the profile of the customer that a node belongs to, or None.

        Raises
        ------
        AwayError
            when Redis does not answer
        """
        owner = self._get(self._keys.node(node))
        raw = self._get(self._keys.profile(bytes.fromhex(owner.decode()) if owner else node))
        profile: Profile | None = None if raw is None else orjson.loads(raw)
        return profile

    def rulings(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return rulings and what came of them, by id; those that are not in the view are left out."""
        found: dict[str, dict[str, Any]] = {}
        for id_ in ids:
            told = outcome_of(self._hash(self._keys.ruling(id_)))
            if told is not None:
                found[id_] = told
        return found

    def reviews(self, limit: int) -> Iterator[tuple[Mapping[str, Any], Review]]:
        """Yield open questions of near matches, the most probable first; each is read when it is asked for.

        Raises
        ------
        AwayError
            when Redis does not answer
        """
        try:
            found: Any = self._redis.zrevrange(self._keys.matches, 0, limit - 1)
        except redis.RedisError as error:
            raise _redis_away(error) from None
        for id_ in found:
            asked = self.review(id_.decode())
            if asked is not None:
                yield asked

    def review(self, id_: str) -> tuple[Mapping[str, Any], Review] | None:
        """Return an open pair and its question; None when it is settled or never was."""
        raw = self._get(self._keys.match(id_))
        if raw is None:
            return None
        match: dict[str, Any] = orjson.loads(raw)
        one, other = (self.profile(bytes.fromhex(match[side])) for side in ("node", "other"))
        if one is None or other is None or not standing(one, other):
            return None
        return match, review_of(match, one, other)

    def produce(self, ruling: Ruling) -> None:
        """Give a ruling to Kafka and wait until it is kept.

        Raises
        ------
        AwayError
            when it is not acknowledged; it may have been kept
        """
        topic, key, value = to_kafka(self.live.codecs(), ruling)
        failed: list[str] = []

        def report(error: Any, _: object) -> None:
            if error is not None:
                failed.append(error.name())

        producer: Any = Producer(
            {
                **self._settings.librdkafka(),
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "message.timeout.ms": int(1000 * _ACK_S),
                "error_cb": lambda _: None,  # the delivery report says it; librdkafka would write to the terminal
                "log_level": 0,
            }
        )
        try:
            producer.produce(topic, value, key, on_delivery=report)
            left = producer.flush(_ACK_S + 1)
        except KafkaException as error:
            left, failed = 1, [error.args[0].name()]
        if left or failed:
            raise AwayError(
                f"Kafka has not acknowledged the ruling ({', '.join(failed) or 'no answer'}): see that it runs and "
                "that SADA_KAFKA is right, look with `sada identity explain`, then say it again"
            )

    def wait(self, id_: str, timeout_s: float) -> dict[str, Any] | None:
        """Return a ruling and what came of it as soon as something did; as it is when time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            told = self.rulings([id_]).get(id_)
            if (told is not None and told["state"] != "pending") or time.monotonic() > deadline:
                return told
            time.sleep(_LOOK_EVERY_S)

    def _get(self, key: str) -> bytes | None:
        try:
            found: Any = self._redis.get(key)
        except redis.RedisError as error:
            raise _redis_away(error) from None
        return None if found is None else bytes(found)

    def _hash(self, key: str) -> Mapping[bytes, bytes]:
        try:
            found: Any = self._redis.hgetall(key)
        except redis.RedisError as error:
            raise _redis_away(error) from None
        told: Mapping[bytes, bytes] = found
        return told


def _redis_away(error: Exception) -> AwayError:
    return AwayError(f"Redis does not answer ({type(error).__name__}): see that it runs and that SADA_REDIS is right")
