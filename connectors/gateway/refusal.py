"""What the gateway answers when it does not do what it was asked: a status, a stable code, and a sentence.

Refusal
├── 400 bad-json, missing-field, too-large (Segment's paths), invalid (strict mode), bad-identifier
│       bad-kind, bad-other, bad-reason, personal-reason, bad-by, bad-ruling-id, unknown-field, not-an-object (rulings)
├── 401 unauthorised
├── 403 forbidden, origin-not-allowed
├── 404 not-found            405 method-not-allowed
├── 408 slow-body            413 too-large
├── 429 rate-limited         with Retry-After
├── 500 internal             our fault; logged, without details to the client
└── 503 unavailable          with Retry-After: the broker or Redis is away
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

JSON_TYPE = "application/json"


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """An answer other than success.

    Parameters
    ----------
    status : of HTTP
    code : stable, for machines
    message : for people: what, where and why; never a secret, never a personal value
    retry_after_s : when to try again
    more : further fields of the body
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.more = more or {}

    def response(self) -> web.Response:
        """Return the answer: ``{"code", "message"}`` and what else there is."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        body = {"code": self.code, "message": self.message, **self.more}
        return web.Response(status=self.status, body=orjson.dumps(body), content_type=JSON_TYPE, headers=headers)


def answer(body: Mapping[str, Any]) -> web.Response:
    """Return 200 with a JSON body."""
    return web.Response(body=orjson.dumps(body), content_type=JSON_TYPE)


def private(body: Mapping[str, Any], *, status: int = 200, **headers: str) -> web.Response:
    """Return JSON that nobody on the way may keep."""
    told = {"Cache-Control": "no-store", **headers}
    return web.Response(status=status, body=orjson.dumps(body), content_type=JSON_TYPE, headers=told)


UNAUTHORISED = "no valid key: send it as Basic user name, as Bearer token, or as writeKey in the body"


def unauthorised(message: str = UNAUTHORISED) -> Refusal:
    """Return the refusal of a missing, unknown or revoked key; it does not say which."""
    return Refusal(401, "unauthorised", message)


def unavailable(message: str, retry_after_s: int = 5) -> Refusal:
    """Return the refusal for when something we need is away: the client keeps what it has and tries again."""
    return Refusal(503, "unavailable", message, retry_after_s=retry_after_s)
