"""Keys: who may do what. Only SHA-256 hashes are kept; a key itself is seen once, when it is made.

A key is 192 random bits, so a plain hash cannot be searched; slow hashes are for passwords that people choose.
"""

import os
import secrets
import time
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from streams.settings import Settings

Role = Literal["write", "read", "agent", "operator", "privacy", "admin"]

# What each role may do: deny by default.
#   collect: send signals      lookup: customer API, values masked      reveal: values in full      desk: the 360 page
#   rule: say who is one customer and who is not      privacy: erase a person, and hand out all that is held on one
RIGHTS: dict[Role, frozenset[str]] = {
    "write": frozenset({"collect"}),
    "read": frozenset({"lookup"}),
    "agent": frozenset({"lookup", "reveal", "desk"}),
    "operator": frozenset({"lookup", "reveal", "desk", "rule"}),
    "privacy": frozenset({"privacy"}),
    "admin": frozenset({"collect", "lookup", "reveal", "desk", "rule", "privacy"}),
}

# Random bytes in a key.
_KEY_BYTES = 24

# A change of the file is noticed after at most so long, in seconds.
RELOAD_EVERY_S = 1.0

_log = structlog.get_logger(__name__)


class KeyFileError(Exception):
    """The key file cannot be used; the message names it, what is wrong, and what to do."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key and what is agreed with its holder.

    Parameters
    ----------
    name : unique; it is the signals' ``source``
    hash : SHA-256 of the key, hex
    channel : the channel of all its signals; None: each says, web where it does not
    region : ISO 3166, for its phone numbers without a country code
    currency : ISO 4217, where an amount names none
    origins : origins whose pages may use it in a browser; ``*`` for any
    strict : answer 400 as soon as one item of a request is refused
    events_per_s : most events a second, averaged over ten; a large shop's peak, far from what one core can do
    max_event_bytes : largest single event; 32 KB is Segment's limit
    """

    name: str
    hash: str
    role: Role
    channel: str | None = None
    region: str | None = None
    currency: str = "USD"
    origins: tuple[str, ...] = ()
    strict: bool = False
    events_per_s: float = 50_000.0
    max_event_bytes: int = 32_768
    created_at_ms: int = 0
    revoked_at_ms: int | None = None

    def may(self, right: str) -> bool:
        """Say whether the key's role has a right."""
        return right in RIGHTS[self.role]


class KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file: all keys, revoked ones included."""

    keys: list[Key] = []


def path_of(settings: Settings) -> Path:
    """Return where the key file is."""
    return settings.keys or settings.var / "keys.json"


def hash_of(key: str) -> str:
    """Return what is kept of a key."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def read(path: Path) -> KeyFile:
    """Return the file's content; empty when there is none.

    Raises
    ------
    KeyFileError
        when it is not a key file
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeyFile)
    except FileNotFoundError:
        return KeyFile()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"{path} cannot be used: {error}. Restore it, or remove it and add the keys anew."
        ) from error


def write(path: Path, content: KeyFile) -> None:
    """Write the file for its owner's eyes only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content)))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def add(path: Path, name: str, role: Role, *, now_ms: int, **agreed: object) -> str:
    """Make a key, keep its hash, and return it: nobody sees it again.

    Raises
    ------
    KeyFileError
        when a live key has that name, or the file cannot be used
    """
    content = read(path)
    if any(key.name == name and key.revoked_at_ms is None for key in content.keys):
        raise KeyFileError(f"A key named {name} exists already: choose another name, or revoke it first.")
    made = f"sk_{role}_{secrets.token_urlsafe(_KEY_BYTES)}"
    fields = {"name": name, "role": role, "hash": hash_of(made), "created_at_ms": now_ms, **agreed}
    content.keys.append(msgspec.convert(fields, Key))
    write(path, content)
    return made


def revoke(path: Path, name: str, *, now_ms: int) -> int:
    """Revoke the keys of a name and return how many there were; gateways notice within seconds."""
    content = read(path)
    live = [key for key in content.keys if key.name == name and key.revoked_at_ms is None]
    if live:
        revoked = [msgspec.structs.replace(key, revoked_at_ms=now_ms) for key in live]
        content.keys = [key for key in content.keys if key not in live] + revoked
        write(path, content)
    return len(live)


class KeyRing:
    """The live keys of a gateway, read again when the file changes.

    Parameters
    ----------
    path : the key file; it may appear later
    fixed : keys that do not come from the file

    Raises
    ------
    KeyFileError
        when the file is there and cannot be used; later a broken file is refused and the old keys stay
    """

    def __init__(self, path: Path, fixed: tuple[Key, ...] = ()) -> None:
        self._path = path
        self._fixed = fixed
        self._mark: tuple[int, int, int] | None = None
        self._by_hash: dict[str, Key] = {}
        self.origins: frozenset[str] = frozenset()
        self._mark = self._stat()
        self._take(read(path))

    def find(self, key: str) -> Key | None:
        """Return the live key with this text, or None."""
        return self._by_hash.get(hash_of(key))

    def by_hash(self, key_hash: str) -> Key | None:
        """Return the live key with this hash, or None."""
        return self._by_hash.get(key_hash)

    def refresh(self) -> None:
        """Read the file again if it changed; called every ``RELOAD_EVERY_S``."""
        mark = self._stat()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._take(read(self._path))
        except KeyFileError as error:
            _log.error("key file refused, the old keys stay", reason=str(error))
            return
        _log.info("keys read", live=len(self._by_hash))

    def _take(self, content: KeyFile) -> None:
        live = [key for key in (*content.keys, *self._fixed) if key.revoked_at_ms is None]
        self._by_hash = {key.hash: key for key in live}
        self.origins = frozenset(origin for key in live for origin in key.origins)

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def now_ms() -> int:
    """Return the wall clock, epoch ms."""
    return time.time_ns() // 1_000_000
