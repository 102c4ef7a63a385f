"""The identity API: who is one customer and why, and operators' rulings on it. Agents may look, only operators rule."""

import time
import uuid
from typing import Any

import structlog
from aiohttp import web

from connectors.gateway.access import Access
from connectors.gateway.body import parsed, read, too_large
from connectors.gateway.customers import Lookup, node_of
from connectors.gateway.producer import Outgoing, SignalProducer, UnavailableError
from connectors.gateway.refusal import Refusal, private, unavailable
from connectors.operate.explain import explain
from connectors.operate.rulings import OF_TWO, Ruling, RulingError, check_kind, to_kafka
from connectors.operate.told import explanation, member_of, ruling_said, rulings_of
from schemas.codecs import Codecs
from schemas.identifiers import IdentifierError

_log = structlog.get_logger(__name__)

# Largest body, bytes: two identifiers and a reason in four-byte letters.
MAX_BODY = 8_192

_FIELDS = frozenset({"kind", "one", "other", "reason"})
_RULING_ID = 32


class Identity:
    """The handlers.

    Parameters
    ----------
    lookup : of profiles and rulings
    producer : of the gateway: acks=all
    codecs : of the topics
    """

    def __init__(self, access: Access, lookup: Lookup, producer: SignalProducer, codecs: Codecs) -> None:
        self._access = access
        self._lookup = lookup
        self._producer = producer
        self._codecs = codecs

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_post("/v1/identity/rulings", self._rule)
        app.router.add_get("/v1/identity/rulings/{id}", self._ruling)
        app.router.add_get("/v1/identity/explain", self._explain)
        app.router.add_get("/v1/identity/customers/id/{hex}", self._by_id)
        app.router.add_get("/v1/identity/customers/{kind}/{value}", self._by_identifier)

    async def _rule(self, request: web.Request) -> web.Response:
        """Take a ruling: 202 when Kafka has it; what comes of it is told at ``status``."""
        key = self._access.admitted(request, "rule")
        body = _object(await read(request))
        try:
            kind = check_kind(body.get("kind"))
            other = (
                self._lookup.named(body.get("other"), "other")
                if kind in OF_TWO or body.get("other") is not None
                else b""
            )
            ruling = Ruling(
                uuid.uuid4().hex,
                kind,
                self._lookup.named(body.get("one"), "one"),
                other,
                _text(body.get("reason")),
                key.name,
                time.time_ns() // 1_000_000,
            )
        except RulingError as error:
            raise Refusal(400, error.code, str(error)) from None
        try:
            await self._producer.send([Outgoing(*to_kafka(self._codecs, ruling))])
        except UnavailableError as error:
            raise unavailable(
                "the ruling may not have been kept: look at the customer before you send it again"
            ) from error
        _log.info("ruling taken", id=ruling.id, kind=kind, by=key.name)
        await self._lookup.note_ruling(ruling.record())
        status = f"/v1/identity/rulings/{ruling.id}"
        return private({"id": ruling.id, "status": status}, status=202, Location=status)

    async def _ruling(self, request: web.Request) -> web.Response:
        """Tell a ruling and what came of it."""
        self._access.admitted(request, "reveal")
        id_ = request.match_info["id"]
        if len(id_) != _RULING_ID or not id_.isalnum() or not id_.isascii():
            raise Refusal(400, "bad-ruling-id", f"a ruling's id has {_RULING_ID} letters and digits")
        found = (await self._lookup.rulings([id_])).get(id_)
        if found is None:
            raise Refusal(404, "not-found", "no ruling of the last thirteen months has this id")
        return private({"id": id_, **found})

    async def _explain(self, request: web.Request) -> web.Response:
        """Tell what ties two identifiers, or keeps them apart."""
        reveal = self._access.admitted(request, "lookup").may("reveal")
        nodes, profiles = [], []
        for name in ("one", "other"):
            nodes.append(self._asked(request, name))
            profiles.append(await self._known(nodes[-1], name))
        found = explain(nodes[0].hex(), profiles[0], nodes[1].hex(), profiles[1])
        told = [tie.signal_id for tie in found.chain if not tie.source] + [
            each.told_by for each in found.apart if each.reason == "cut"
        ]
        rulings = await self._lookup.rulings(told)
        return private(explanation(found, nodes[0].hex(), nodes[1].hex(), profiles, rulings, reveal=reveal))

    async def _by_id(self, request: web.Request) -> web.Response:
        reveal = self._access.admitted(request, "lookup").may("reveal")
        return await self._customer(node_of(request.match_info["hex"]), reveal=reveal)

    async def _by_identifier(self, request: web.Request) -> web.Response:
        reveal = self._access.admitted(request, "lookup").may("reveal")
        node = self._identifier(request.match_info["kind"], request.match_info["value"])
        return await self._customer(node, reveal=reveal)

    async def _customer(self, node: bytes, *, reveal: bool) -> web.Response:
        """Tell a customer's identity alone: members, ties, refusals, story, and the rulings among them."""
        profile = await self._lookup.by_node(node)
        if profile is None:
            raise Refusal(404, "not-found", "no customer is known by this")
        rulings = await self._lookup.rulings(rulings_of(profile))
        return private(
            {
                "customer": profile["customer"],
                "members": [member_of(each, reveal=reveal) for each in profile["members"]],
                "ties": profile.get("ties", []),
                "refusals": profile["refusals"],
                "story": profile.get("story", []),
                "rulings": {id_: ruling_said(ruling, reveal=reveal) for id_, ruling in rulings.items()},
            }
        )

    def _asked(self, request: web.Request, name: str) -> bytes:
        """Return the node that a query names: kind:value or node:hex."""
        kind, colon, value = request.query.get(name, "").partition(":")
        if not colon:
            raise Refusal(400, "bad-identifier", f"{name} is kind:value or node:hex in the query")
        return node_of(value) if kind == "node" else self._identifier(kind, value)

    def _identifier(self, kind: str, value: str) -> bytes:
        try:
            return self._lookup.node(kind, value)
        except IdentifierError as error:
            raise Refusal(400, "bad-identifier", str(error)) from None

    async def _known(self, node: bytes, name: str) -> dict[str, Any]:
        profile = await self._lookup.by_node(node)
        if profile is None:
            raise Refusal(404, "not-found", f"no customer is known by {name}")
        return profile


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BODY:
        raise too_large(f"the body has {len(raw)} bytes; a ruling has at most {MAX_BODY}")
    body = parsed(raw)
    if not isinstance(body, dict):
        raise Refusal(400, "not-an-object", "a ruling is an object")
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise Refusal(400, "unknown-field", f"a ruling has no {unknown[0][:40]!r}: {', '.join(sorted(_FIELDS))}")
    return body


def _text(reason: object) -> str:
    if not isinstance(reason, str):
        raise RulingError("bad-reason", "reason is a text: say why")
    return reason
