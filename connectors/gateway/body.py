"""Request bodies: bounded in bytes, in time and after decompression; whatever Content-Type says, they are JSON."""

import asyncio
import zlib
from typing import Any

import orjson
from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge

from connectors.gateway.refusal import Refusal

# Largest body, bytes, before and after decompression: rudder-python batches up to 4 MB.
MAX_BODY = 4_000_000

# A body must be here after so long, in seconds: a batch of 500 KB takes four over a slow phone line (1 Mbit/s).
BODY_TIMEOUT_S = 10.0

# zlib's window bits by Content-Encoding: 31 reads gzip, 47 zlib or gzip.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


def too_large(detail: str) -> Refusal:
    """Return the refusal of what is too large: 413; Segment's paths turn it into 400."""
    return Refusal(413, "too-large", detail)


async def read(request: web.Request, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """Return the body, decompressed.

    Raises
    ------
    Refusal
        413 too-large, 408 slow-body, 400 bad-encoding
    """
    length = request.content_length
    if length is not None and length > MAX_BODY:
        raise too_large(f"the body has {length} bytes; at most {MAX_BODY} are taken")
    try:
        if request.content.is_eof():
            raw = await request.read()
        else:
            async with asyncio.timeout(timeout_s):
                raw = await request.read()
    except TimeoutError:
        raise Refusal(408, "slow-body", f"the body did not arrive within {timeout_s:g} s") from None
    except HTTPRequestEntityTooLarge:
        raise too_large(f"the body has more than {MAX_BODY} bytes") from None
    encoding = request.headers.get("Content-Encoding")
    return raw if encoding is None or not raw else decompressed(raw, encoding)


def decompressed(raw: bytes, encoding: str) -> bytes:
    """Return a compressed body's content; a bomb costs at most ``MAX_BODY`` bytes of memory.

    Raises
    ------
    Refusal
        400 bad-encoding, 413 too-large
    """
    kind = encoding.strip().lower()
    if kind == "identity":
        return raw
    window = _WINDOWS.get(kind)
    if window is None:
        raise Refusal(400, "bad-encoding", f"Content-Encoding {kind[:20]!r} is not gzip, deflate or identity")
    inflate = zlib.decompressobj(window)
    try:
        content = inflate.decompress(raw, MAX_BODY + 1)
    except zlib.error as error:
        raise Refusal(400, "bad-encoding", f"the body is not {kind}: {error}") from None
    if len(content) > MAX_BODY:
        raise too_large(f"the body has more than {MAX_BODY} bytes after decompression")
    if not inflate.eof:
        raise Refusal(400, "bad-encoding", f"the {kind} body is cut short")
    return content


def parsed(raw: bytes) -> Any:
    """Return what the JSON says; NaN, infinities, lone surrogates, bad UTF-8 and depth over 1,024 are refused.

    Of duplicate names the last one counts, as in every JSON parser of a browser.

    Raises
    ------
    Refusal
        400 bad-json, with line and column
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "bad-json", f"the body is not JSON: {error}") from None
