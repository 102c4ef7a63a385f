"""The customer API: a golden record by any identifier, each role seeing its own fields."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import redis.asyncio
import structlog
from aiohttp import web
from redis import RedisError

from connectors.gateway.access import Access
from connectors.gateway.refusal import Refusal, private, unavailable
from connectors.operate.mask import mask
from connectors.operate.rulings import outcome_of
from connectors.serve.keys import RULING, RULING_LASTS_S, ViewKeys, record_json
from schemas.identifiers import NODE_BYTES, Hasher, IdentifierError
from schemas.identity_rules import IdentityRules

_log = structlog.get_logger(__name__)

# What a key without the right to reveal sees: numbers and states, no words of or about the person.
MASKED_FIELDS = (
    "customer",
    "updated_at_ms",
    "created_at_ms",
    "last_seen_ms",
    "value",
    "flags",
    "consent",
    "scores",
    "next_action",
)


class Lookup:
    """Finds profiles in the view.

    Parameters
    ----------
    client : of Redis
    keys : names in Redis
    hasher : makes nodes
    rules : how identifiers are spelled
    """

    def __init__(self, client: "redis.asyncio.Redis", keys: ViewKeys, hasher: Hasher, rules: IdentityRules) -> None:
        self._redis = client
        self._keys = keys
        self._hasher = hasher
        self._rules = rules

    async def by_identifier(self, kind: str, value: str) -> dict[str, Any] | None:
        """Return the profile of whoever has an identifier, or None.

        Raises
        ------
        IdentifierError
            when it is none
        Refusal
            503 when Redis is away
        """
        return await self.by_node(self.node(kind, value))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of identifiers that the rules know, strongest first."""
        return self._rules.priority

    def node(self, kind: str, value: str) -> bytes:
        """Return an identifier's node.

        Raises
        ------
        IdentifierError
            when it is none
        """
        return self._hasher.node(self._rules.normalise(kind, value))

    def named(self, given: object, name: str) -> bytes:
        """Return the node that a body names: {kind, value} or {node}; ``name`` is the field's, for the error.

        Raises
        ------
        Refusal
            400 bad-identifier
        """
        if isinstance(given, dict):
            if set(given) == {"node"} and isinstance(given["node"], str):
                return node_of(given["node"])
            if set(given) == {"kind", "value"} and all(isinstance(part, str) for part in given.values()):
                try:
                    return self.node(given["kind"], given["value"])
                except IdentifierError as error:
                    raise Refusal(400, "bad-identifier", str(error)) from None
        raise Refusal(400, "bad-identifier", f'{name} is {{"kind": …, "value": …}} or {{"node": …}}, texts')

    async def by_node(self, node: bytes) -> dict[str, Any] | None:
        """Return the profile of the customer that a node belongs to, or None; a customer's id is a node, too.

        Raises
        ------
        Refusal
            410 when the customer was erased, 503 when Redis is away
        """
        try:
            owner = await self._read(self._keys.node(node))
            customer = node if owner is None else bytes.fromhex(owner.decode())
            raw = await self._read(self._keys.profile(customer))
            erased = raw is None and await self._read(self._keys.erased(node)) is not None
        except RedisError as error:
            raise unavailable("the view is away for a moment") from error
        if erased:
            raise Refusal(410, "erased", "this customer was erased: nothing is held on it")
        if raw is None:
            return None
        profile: dict[str, Any] = orjson.loads(raw)
        return profile

    async def rulings(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return rulings and what came of them, by id; those that are not in the view are left out.

        Raises
        ------
        Refusal
            503 when Redis is away
        """
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for id_ in wanted:
                    pipe.hgetall(self._keys.ruling(id_))
                found: list[Any] = await pipe.execute()
        except RedisError as error:
            raise unavailable("the view is away for a moment") from error
        told = {id_: outcome_of(fields) for id_, fields in zip(wanted, found, strict=True)}
        return {id_: each for id_, each in told.items() if each is not None}

    async def note_ruling(self, ruling: Mapping[str, Any]) -> None:
        """Put a ruling that Kafka has into the view at once, as the materialiser will: whoever made it may ask for it.

        Away, Redis is filled by the materialiser later: it is not worth an error.
        """
        key = self._keys.ruling(ruling["id"])
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, RULING, record_json(ruling).decode())
                pipe.expire(key, RULING_LASTS_S)
                await pipe.execute()
        except RedisError as error:
            _log.warning("the ruling is not in the view yet", id=ruling["id"], reason=type(error).__name__)

    async def _read(self, key: str) -> bytes | None:
        found: Any = await self._redis.get(key)
        return found if found is None else bytes(found)


class Customers:
    """The handlers."""

    def __init__(self, access: Access, lookup: Lookup) -> None:
        self._access = access
        self._lookup = lookup

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/v1/customers/id/{hex}", self._by_id)
        app.router.add_get("/v1/customers/{kind}/{value}", self._by_identifier)

    async def _by_id(self, request: web.Request) -> web.Response:
        reveal = self._may(request)
        node = node_of(request.match_info["hex"])
        return _shown(await self._lookup.by_node(node), reveal=reveal)

    async def _by_identifier(self, request: web.Request) -> web.Response:
        reveal = self._may(request)
        try:
            profile = await self._lookup.by_identifier(request.match_info["kind"], request.match_info["value"])
        except IdentifierError as error:
            raise Refusal(400, "bad-identifier", str(error)) from None
        return _shown(profile, reveal=reveal)

    def _may(self, request: web.Request) -> bool:
        return self._access.admitted(request, "lookup").may("reveal")


def node_of(text: str) -> bytes:
    """Return the node that hexadecimal digits name.

    Raises
    ------
    Refusal
        400 bad-identifier
    """
    try:
        node = bytes.fromhex(text) if len(text) == 2 * NODE_BYTES else b""
    except ValueError:
        node = b""
    if len(node) != NODE_BYTES:
        raise Refusal(400, "bad-identifier", f"a customer's id has {2 * NODE_BYTES} hexadecimal digits")
    return node


def _shown(profile: Mapping[str, Any] | None, *, reveal: bool) -> web.Response:
    if profile is None:
        raise Refusal(404, "not-found", "no customer is known by this")
    return private(profile if reveal else masked(profile))


def masked(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a key without the right to reveal sees of a profile."""
    found = {name: profile[name] for name in MASKED_FIELDS if name in profile}
    found["members"] = [
        {"kind": member["kind"], "value": mask(member["value"]), "since_ms": member["since_ms"]}
        for member in profile.get("members", ())
    ]
    history = profile.get("history", {})
    found["history"] = {name: value for name, value in history.items() if name != "timeline"}
    return found
