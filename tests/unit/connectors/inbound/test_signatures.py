"""Every row of the table, signed independently, believed; and each of its parts altered, refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest

from connectors.inbound.signatures import SCHEMES, TOLERANCE_S, Request, SignatureError, verify

NOW = 1_790_000_000
SECRET = "a-secret-that-is-long-enough"
KEY = SECRET.encode()
BODY = json.dumps({"id": "evt_1", "event_id": "e1", "n": 1}).encode()


def _b64(key: bytes, text: bytes, digest: str = "sha256") -> str:
    return base64.b64encode(hmac.new(key, text, digest).digest()).decode()


def _hex(key: bytes, text: bytes, digest: str = "sha256") -> str:
    return hmac.new(key, text, digest).hexdigest()


def _standard(at: int) -> Request:
    signature = _b64(KEY, b"m1.%d.%b" % (at, BODY))
    headers = {"webhook-id": "m1", "webhook-timestamp": str(at), "webhook-signature": f"v1a,AAAA v1,{signature}"}
    return Request(headers, BODY)


def _mailgun(at: int) -> Request:
    signed = {"timestamp": str(at), "token": "t1", "signature": _hex(KEY, f"{at}t1".encode())}
    return Request({}, json.dumps({"signature": signed}).encode())


SIGNED: dict[str, Callable[[int], Request]] = {
    "standard": _standard,
    "shopify": lambda _: Request({"x-shopify-hmac-sha256": _b64(KEY, BODY), "x-shopify-webhook-id": "w1"}, BODY),
    "twilio": lambda _: Request(
        {"x-twilio-signature": _b64(KEY, b"https://x/yA1B2", "sha1")}, b"B=2&A=1", "https://x/y"
    ),
    "zendesk": lambda at: Request(
        {
            "x-zendesk-webhook-signature": _b64(KEY, str(at).encode() + BODY),
            "x-zendesk-webhook-signature-timestamp": str(at),
            "x-zendesk-webhook-invocation-id": "z1",
        },
        BODY,
    ),
    "intercom": lambda _: Request({"x-hub-signature": "sha1=" + _hex(KEY, BODY, "sha1")}, BODY),
    "meta": lambda _: Request({"x-hub-signature-256": "sha256=" + _hex(KEY, BODY)}, BODY),
    "typeform": lambda _: Request({"typeform-signature": "sha256=" + _b64(KEY, BODY)}, BODY),
    "stripe": lambda at: Request(
        {"stripe-signature": f"t={at},v1={'0' * 64},v1={_hex(KEY, b'%d.%b' % (at, BODY))},v0=x"}, BODY
    ),
    "mailgun": _mailgun,
}
IDS = {
    "standard": "m1",
    "shopify": "w1",
    "zendesk": "z1",
    "intercom": "evt_1",
    "typeform": "e1",
    "stripe": "evt_1",
    "mailgun": "t1",
    "meta": hashlib.sha256(BODY).hexdigest(),
    "twilio": hashlib.sha256(b"B=2&A=1").hexdigest(),
}


def _secret(name: str) -> str:
    return "whsec_" + base64.b64encode(KEY).decode() if name == "standard" else SECRET


def test_the_table_is_covered() -> None:
    """A row without a test here is a row that nobody checked."""
    assert set(SIGNED) == set(SCHEMES)


@pytest.mark.parametrize("name", SIGNED)
def test_signed_is_believed_and_named(name: str) -> None:
    """By either of two secrets; the id is the provider's, else the body's hash."""
    other = base64.b64encode(b"other").decode()
    assert verify(SCHEMES[name], SIGNED[name](NOW), (other, _secret(name)), NOW) == IDS[name]


@pytest.mark.parametrize("name", SIGNED)
def test_another_secret_is_refused(name: str) -> None:
    """Whatever else fits."""
    with pytest.raises(SignatureError):
        verify(SCHEMES[name], SIGNED[name](NOW), (base64.b64encode(b"other").decode(),), NOW)


@pytest.mark.parametrize("name", [name for name in SIGNED if name != "mailgun"])
def test_an_altered_body_is_refused(name: str) -> None:
    """Mailgun alone does not sign its body."""
    signed = SIGNED[name](NOW)
    with pytest.raises(SignatureError):
        verify(
            SCHEMES[name], Request(signed.headers, signed.body.replace(b"1", b"2"), signed.url), (_secret(name),), NOW
        )


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if scheme.time])
@pytest.mark.parametrize("shift", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_old_and_future_are_refused(name: str, shift: int) -> None:
    """Well signed, but not now; at the edge it holds."""
    with pytest.raises(SignatureError, match="tolerance"):
        verify(SCHEMES[name], SIGNED[name](NOW + shift), (_secret(name),), NOW)
    edge = NOW + (TOLERANCE_S if shift > 0 else -TOLERANCE_S)
    assert verify(SCHEMES[name], SIGNED[name](edge), (_secret(name),), NOW)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("value", ["", "x", "\xff", "v1,", "sha256=", "=" * 500, "t=,v1=", "٣"])
def test_garbage_is_refused_not_raised(name: str, value: str) -> None:
    """Any header, any body: one kind of error."""
    signed = SIGNED[name](NOW)
    headers = dict.fromkeys(signed.headers, value)
    for body in (b"", b"\xff\xfe", b"[" * 5_000, b'{"signature": 7}', signed.body):
        if body == signed.body and name == "mailgun":
            continue
        with pytest.raises(SignatureError):
            verify(SCHEMES[name], Request(headers, body, signed.url), (_secret(name),), NOW)
