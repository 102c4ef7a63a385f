"""Webhook signatures: one verifier, and a table that says how each provider signs with HMAC.

A scheme is data: where the signature, the id and the time stand, what is signed, and how it is written. Places:
``header:NAME``; ``field:NAME:key`` for a header of ``key=value`` pairs; ``json:a.b`` for a member of the body.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qsl

# How far a signed time may be from ours, in seconds, either way: five minutes, as Standard Webhooks and Stripe say.
TOLERANCE_S = 300

# Signatures looked at per request: two during a rotation, a few more for other versions.
_MAX_SIGNATURES = 8


class SignatureError(Exception):
    """A webhook that is not to be believed. The reason is for our log and metrics, not for the caller."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a signature may cover: headers by lower-case name, the raw body, and the URL as the world sees it."""

    headers: Mapping[str, str]
    body: bytes
    url: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a provider signs.

    Parameters
    ----------
    signature : place of the signature
    signed : what is signed, in order: ``@body``, ``@id``, ``@time``, ``@url``, ``@form`` (sorted names and values),
        ``@json:a.b``; anything else is itself
    digest, encoding : HMAC's hash, and how its result is written
    prefix : stands before a signature and is taken off; those without it are passed over
    separator : between several signatures
    id, time : places of the delivery's id and of the time; empty where there is none
    secret : how the secret is written: text, or base64 after ``whsec_``
    """

    signature: str
    signed: tuple[str, ...]
    digest: Literal["sha256", "sha1"] = "sha256"
    encoding: Literal["base64", "hex"] = "hex"
    prefix: str = ""
    separator: str = ""
    id: str = ""
    time: str = ""
    secret: Literal["text", "whsec"] = "text"  # noqa: S105 - how it is written, not what it is


SCHEMES: Mapping[str, Scheme] = {
    "standard": Scheme(
        "header:webhook-signature",
        ("@id", ".", "@time", ".", "@body"),
        encoding="base64",
        prefix="v1,",
        separator=" ",
        id="header:webhook-id",
        time="header:webhook-timestamp",
        secret="whsec",  # noqa: S106 - how it is written, not what it is
    ),
    "shopify": Scheme("header:x-shopify-hmac-sha256", ("@body",), encoding="base64", id="header:x-shopify-webhook-id"),
    "twilio": Scheme("header:x-twilio-signature", ("@url", "@form"), digest="sha1", encoding="base64"),
    "zendesk": Scheme(
        "header:x-zendesk-webhook-signature",
        ("@time", "@body"),
        encoding="base64",
        id="header:x-zendesk-webhook-invocation-id",
        time="header:x-zendesk-webhook-signature-timestamp",
    ),
    "intercom": Scheme("header:x-hub-signature", ("@body",), digest="sha1", prefix="sha1=", id="json:id"),
    "meta": Scheme("header:x-hub-signature-256", ("@body",), prefix="sha256="),
    "typeform": Scheme(
        "header:typeform-signature", ("@body",), encoding="base64", prefix="sha256=", id="json:event_id"
    ),
    "stripe": Scheme(
        "field:stripe-signature:v1", ("@time", ".", "@body"), id="json:id", time="field:stripe-signature:t"
    ),
    "mailgun": Scheme(
        "json:signature.signature",
        ("@time", "@json:signature.token"),
        id="json:signature.token",
        time="json:signature.timestamp",
    ),
}


def verify(scheme: Scheme, request: Request, secrets: Sequence[str], now_s: float) -> str:
    """Check a webhook and return its id: the provider's, else the hash of its body.

    Parameters
    ----------
    secrets : any of them may have signed: two during a rotation
    now_s : epoch seconds

    Raises
    ------
    SignatureError
        when nothing of the kind was signed with a secret of ours in the last minutes; whatever the bytes
    """
    stamp = ""
    if scheme.time:
        stamp = _one(request, scheme.time, "time")
        if abs(_seconds(stamp) - now_s) > TOLERANCE_S:
            raise SignatureError("the time is outside the tolerance")
    identity = _one(request, scheme.id, "id") if scheme.id else hashlib.sha256(request.body).hexdigest()
    signed = b"".join(_part(part, request, identity, stamp) for part in scheme.signed)
    given = list(_signatures(scheme, request))
    if not given:
        raise SignatureError("the signature is missing")
    for secret in secrets:
        wanted = hmac.new(_key(scheme, secret), signed, scheme.digest).digest()
        if any(hmac.compare_digest(wanted, signature) for signature in given):
            return identity
    raise SignatureError("no signature fits")


def _one(request: Request, place: str, what: str) -> str:
    found = next(iter(_find(request, place)), "")
    if not found or len(found) > 256:
        raise SignatureError(f"the {what} is missing or too long")
    return found


def _find(request: Request, place: str) -> Iterable[str]:
    where, _, rest = place.partition(":")
    if where == "header":
        return [request.headers[rest]] if rest in request.headers else []
    if where == "field":
        name, _, key = rest.partition(":")
        pairs = (pair.strip().partition("=") for pair in request.headers.get(name, "").split(","))
        return [value for found, _, value in pairs if found == key]
    return _member(request.body, rest)


def _member(body: bytes, path: str) -> list[str]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return [str(found)] if isinstance(found, (str, int)) else []


def _part(part: str, request: Request, identity: str, stamp: str) -> bytes:
    if part == "@body":
        return request.body
    if part == "@form":
        return _form(request.body)
    if part.startswith("@json:"):
        return _one(request, part[1:], "signed member").encode(errors="replace")
    words = {"@id": identity, "@time": stamp, "@url": request.url}.get(part, part)
    return words.encode(errors="replace")


def _form(body: bytes) -> bytes:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        raise SignatureError("the form cannot be read") from None
    return "".join(name + value for name, value in sorted(pairs)).encode(errors="replace")


def _signatures(scheme: Scheme, request: Request) -> Iterable[bytes]:
    found = list(_find(request, scheme.signature))
    if scheme.separator:
        found = [part for text in found for part in text.split(scheme.separator)]
    for text in found[:_MAX_SIGNATURES]:
        if not text.startswith(scheme.prefix):
            continue
        written = text[len(scheme.prefix) :]
        try:
            yield bytes.fromhex(written) if scheme.encoding == "hex" else base64.b64decode(written, validate=True)
        except (binascii.Error, ValueError):
            continue


def _key(scheme: Scheme, secret: str) -> bytes:
    if scheme.secret == "whsec":  # noqa: S105 - how it is written, not what it is
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


def _seconds(stamp: str) -> float:
    try:
        if stamp.isascii() and stamp.isdigit():
            return float(stamp)
        at = datetime.fromisoformat(stamp)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise SignatureError("the time cannot be read") from None
