"""The privacy API: a person is forgotten; exports.py gives what is held. For keys with the right *privacy* alone."""

import time
import uuid
from typing import Any

import structlog
from aiohttp import web

from connectors.gateway.access import Access
from connectors.gateway.body import parsed, read, too_large
from connectors.gateway.customers import Lookup
from connectors.gateway.producer import Outgoing, SignalProducer, UnavailableError
from connectors.gateway.refusal import Refusal, private, unavailable
from connectors.operate.rulings import ERASE, Ruling, RulingError, to_kafka
from connectors.privacy.places import told
from schemas.codecs import Codecs

_log = structlog.get_logger(__name__)

# Largest body, bytes: an identifier and a reason in four-byte letters.
MAX_BODY = 8_192

_ID = 32


class Privacy:
    """The handlers.

    Parameters
    ----------
    lookup : of profiles and rulings
    producer : of the gateway: acks=all
    codecs : of the topics
    kept_ms : how long topics keep records, as ``Settings.kept_ms``
    """

    def __init__(
        self, access: Access, lookup: Lookup, producer: SignalProducer, codecs: Codecs, kept_ms: dict[str, int]
    ) -> None:
        self._access = access
        self._lookup = lookup
        self._producer = producer
        self._codecs = codecs
        self._kept_ms = kept_ms

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_post("/v1/privacy/erasures", self._erase)
        app.router.add_get("/v1/privacy/erasures/{id}", self._status)

    async def _erase(self, request: web.Request) -> web.Response:
        """Take an erasure: 202 when Kafka has it; what comes of it is told at ``status``."""
        key = self._access.admitted(request, "privacy")
        body = body_of(await read(request), {"identifier", "reason"})
        node = self._lookup.named(body.get("identifier"), "identifier")
        reason = body.get("reason")
        now_ms = time.time_ns() // 1_000_000
        try:
            given = reason if isinstance(reason, str) else ""
            ruling = Ruling(uuid.uuid4().hex, ERASE, node, b"", given, key.name, now_ms)
        except RulingError as error:
            raise Refusal(400, error.code, str(error)) from None
        try:
            await self._producer.send([Outgoing(*to_kafka(self._codecs, ruling))])
        except UnavailableError as error:
            raise unavailable("the erasure may not have been kept: send it again, twice does no harm") from error
        _log.info("erasure taken", id=ruling.id, by=key.name)
        await self._lookup.note_ruling(ruling.record())
        status = f"/v1/privacy/erasures/{ruling.id}"
        told_now = {"id": ruling.id, "status": status, "places": told(self._kept_ms, now_ms)}
        return private(told_now, status=202, Location=status)

    async def _status(self, request: web.Request) -> web.Response:
        """Tell what came of an erasure, and what is left where until when."""
        self._access.admitted(request, "privacy")
        id_ = request.match_info["id"]
        if len(id_) != _ID or not id_.isalnum() or not id_.isascii():
            raise Refusal(400, "bad-ruling-id", f"an erasure's id has {_ID} letters and digits")
        found = (await self._lookup.rulings([id_])).get(id_)
        if found is None or found.get("kind", ERASE) != ERASE:
            raise Refusal(404, "not-found", "no erasure of the last thirteen months has this id")
        return private({"id": id_, **found, "places": told(self._kept_ms, found.get("at_ms", 0))})


def body_of(raw: bytes, fields: set[str]) -> dict[str, Any]:
    """Return the object that a body is.

    Parameters
    ----------
    fields : all that it may have

    Raises
    ------
    Refusal
        400 or 413
    """
    if len(raw) > MAX_BODY:
        raise too_large(f"the body has {len(raw)} bytes; at most {MAX_BODY} are taken")
    body = parsed(raw)
    if not isinstance(body, dict):
        raise Refusal(400, "not-an-object", f"the body is an object of {', '.join(sorted(fields))}")
    unknown = sorted(set(body) - fields)
    if unknown:
        raise Refusal(400, "unknown-field", f"there is no {unknown[0][:40]!r}: {', '.join(sorted(fields))}")
    return body
