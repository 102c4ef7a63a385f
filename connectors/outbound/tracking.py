"""Signed links in messages: opened, clicked, unsubscribe.

A token holds all that the gateway needs to write the outcome, and a MAC over it: nothing is stored, nothing can be
forged, and a click leads only where the message itself pointed (no open redirect). It holds no personal value: the
customer is the node's keyed hash.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Literal

import msgspec

from connectors.outbound.delivery import Delivery

# 128 bits: a forger needs 2^127 requests on average.
_MAC_BYTES = 16
_MAX_TOKEN = 4_096


class TokenError(ValueError):
    """A token that we did not make."""


class Token(msgspec.Struct, array_like=True, frozen=True):
    """What a link says.

    Parameters
    ----------
    kind : o opened, c clicked, u unsubscribe
    decided_at_ms, recorded_at_ms : the moment known in stream and in wall time
    link, target : which link of the message, and where it leads
    """

    kind: Literal["o", "c", "u"]
    action_id: str
    action: str
    channel: str
    purpose: str
    customer: bytes
    decided_at_ms: int
    recorded_at_ms: int
    link: int = 0
    target: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Token)


def tracking_key(inbox_secret: bytes) -> bytes:
    """Return the key of links, derived from SADA_INBOX_SECRET so that there is one secret less to keep."""
    return hmac.digest(inbox_secret, b"sada tracking links", "sha256")


def _mac(key: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, key=key, digest_size=_MAC_BYTES).digest()


def seal(key: bytes, token: Token) -> str:
    """Return a token as URL-safe text."""
    payload = _encode(token)
    return base64.urlsafe_b64encode(_mac(key, payload) + payload).rstrip(b"=").decode()


def unseal(key: bytes, text: str) -> Token:
    """Return what a token says.

    Raises
    ------
    TokenError
        when it is not ours, in any way
    """
    if len(text) > _MAX_TOKEN:
        raise TokenError("too long")
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as exc:
        raise TokenError("not base64") from exc
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, payload)):
        raise TokenError("not ours")
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as exc:
        raise TokenError("of another version") from exc


class Links:
    """Makes the links of a message.

    Parameters
    ----------
    public_url : how the world reaches the gateway
    key : see ``tracking_key``
    """

    def __init__(self, public_url: str, key: bytes) -> None:
        self._base = public_url.rstrip("/")
        self._key = key

    def opened(self, delivery: Delivery) -> str:
        """Return the URL of the picture that tells of an opening."""
        return f"{self._base}/t/o/{self._token('o', delivery)}.gif"

    def clicked(self, delivery: Delivery, link: int, target: str) -> str:
        """Return the URL that tells of a click and leads to the target."""
        return f"{self._base}/t/c/{self._token('c', delivery, link, target)}"

    def unsubscribe(self, delivery: Delivery) -> str:
        """Return the URL that unsubscribes, by POST at once (RFC 8058), by GET after a question."""
        return f"{self._base}/t/u/{self._token('u', delivery)}"

    def _token(self, kind: Literal["o", "c", "u"], delivery: Delivery, link: int = 0, target: str = "") -> str:
        action = delivery.action
        return seal(
            self._key,
            Token(
                kind=kind,
                action_id=action["id"],
                action=action["action"],
                channel=action["channel"],
                purpose=action["purpose"],
                customer=action["customer"],
                decided_at_ms=action["decided_at_ms"],
                recorded_at_ms=delivery.recorded_at_ms,
                link=link,
                target=target,
            ),
        )
