"""The local stack's own secrets: made once, kept in ``var/secrets.json``, readable by their owner only."""

import base64
import os
import secrets
from pathlib import Path

import msgspec

from deploy.local.processes import StackError


class Keys(msgspec.Struct, frozen=True):
    """All secrets of a local stack.

    Parameters
    ----------
    node_key : 32 bytes in hex; must never change: every customer would be a new one
    snapshot_key, inbox_secret : 32 bytes in hex
    seal_key : 32 bytes in hex; must never change either: it opens all customers' state
    write_key : for the collection API
    api_key : for the customer API and the 360 page
    webhook_secret : signs webhooks, in the form of Standard Webhooks
    """

    node_key: str
    snapshot_key: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    inbox_secret: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    seal_key: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    write_key: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))
    api_key: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))
    webhook_secret: str = msgspec.field(
        default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    )


def load_or_make(path: Path) -> Keys:
    """Return the stack's secrets: made at the first call; those that a later version added are made when missing.

    Raises
    ------
    StackError
        when the file is there but cannot be used: making new keys silently would orphan all state
    """
    before = b""
    try:
        before = path.read_bytes()
        keys = msgspec.json.decode(before, type=Keys)
    except FileNotFoundError:
        keys = Keys(node_key=secrets.token_hex(32))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StackError(
            f"{path} cannot be read: {error}. It holds the key of every customer's id: restore it, "
            f"or remove {path.parent} whole to start anew."
        ) from error
    content = msgspec.json.format(msgspec.json.encode(keys))
    if content != before:
        write_private(path, content)
    return keys


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
