"""The desk's session: a signed cookie that names a key by its hash, for one shift. Revoking the key ends it."""

import hmac
import time
from hashlib import blake2b, sha256

COOKIE = "sada_desk"

# One shift and its overtime, in seconds.
LASTS_S = 12 * 3_600


class Sessions:
    """Signs and reads session cookies.

    Parameters
    ----------
    secret : the installation's; the signing key is derived from it, so that all gateways accept each other's cookies
    """

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(key=secret[:64], person=b"desk-session").digest()

    def issue(self, key_hash: str, now_s: float | None = None) -> str:
        """Return the cookie for a key, by its hash."""
        until = int((time.time() if now_s is None else now_s) + LASTS_S)
        text = f"{key_hash}.{until}"
        return f"{text}.{self._mac(text)}"

    def key_hash(self, cookie: str, now_s: float | None = None) -> str | None:
        """Return the hash of the key that a cookie names; None when it is not ours or too old."""
        text, _, mac = cookie[:256].rpartition(".")
        if not hmac.compare_digest(self._mac(text).encode(), mac.encode(errors="replace")):
            return None
        key_hash, _, until = text.partition(".")
        return key_hash if int(until) > (time.time() if now_s is None else now_s) else None

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), sha256).hexdigest()
