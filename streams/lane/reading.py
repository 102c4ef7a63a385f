"""A changelog as somebody reads it who has the deployment's seal key and runs no worker: a verifier, a bench."""

from collections.abc import Iterable, Sequence

from streams.lane.forms import Forms, is_sealed
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.vault import SealKey, Vault

Records = Iterable[tuple[bytes | None, bytes | None]]


def last_values(
    changelog: Records, vault: Records, *, seal_key: bytes, words: Sequence[bytes] = ()
) -> dict[bytes, bytes]:
    """Return the last value of every key, opened; read while nobody writes.

    Parameters
    ----------
    changelog, vault : all records of both, committed only, in order per partition
    seal_key : the deployment's
    words : the stage's dictionaries

    Raises
    ------
    PositionError
        when the seal key is the wrong one
    FormError
        when a value that is the last of its key cannot be opened
    """
    secrets = Vault(SealKey(seal_key), "vault")
    secrets.write({key: wrapped for key, wrapped in vault if key is not None}, 0)
    forms = Forms(words)
    last = {key: value for key, value in changelog if key is not None and not key.startswith(LANE_KEY_PREFIX)}
    return {
        key: forms.open(key, value, secrets.secret(key) if is_sealed(value) else None)
        for key, value in last.items()
        if value is not None
    }
