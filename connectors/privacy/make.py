"""Makes one export that the API was asked for: `python -m connectors.privacy.make NODE`, a process of its own.

`sada serve` starts it, so that reading every topic slows nothing else. What becomes of it is told in Redis (jobs.py);
nothing personal is printed.
"""

import os
import sys
import time
from collections.abc import Callable

import orjson

from connectors.operate.session import AwayError, Session
from connectors.privacy.export import whole
from connectors.privacy.gather import TooMuchError, of_topics
from connectors.privacy.jobs import MAX_BYTES, MAX_HELD_BYTES, Job, JobKeys, Jobs
from connectors.privacy.scan import SilentError
from connectors.privacy.seal import sealed, wrapper
from connectors.serve.store import client_of
from streams.settings import Settings, SettingsError

# Behind everything else that runs on this machine.
_NICE = 10
_RENEW_EVERY_S = 2.0
_TOO_MUCH = "there is more than is kept for the API: an operator writes it with `sada privacy export`"


class _GoneError(Exception):
    """Nobody asks for this export any more: it was erased, or asked for anew."""


class _HopelessError(Exception):
    """It would fail again; the message says what to do instead."""


def main() -> int:
    """Make the export of a node; return 0 also when it could not be made and that was noted."""
    os.nice(_NICE)
    node = bytes.fromhex(sys.argv[1])
    settings = Settings()
    jobs = Jobs(client_of(settings), JobKeys(settings.topic_prefix))
    job = jobs.find(node)
    if job is None or not job.key:
        return 0
    try:
        jobs.made(node, job, _document(settings, jobs, node, job))
    except _GoneError:
        return 0
    except _HopelessError as error:
        jobs.failed(node, job, str(error), time.time(), for_good=True)
    except (AwayError, SilentError, SettingsError) as error:
        jobs.failed(node, job, str(error), time.time())
    return 0


def _document(settings: Settings, jobs: Jobs, node: bytes, job: Job) -> bytes:
    """Return all that is held on a person, sealed."""
    key = wrapper(settings.secret("node_key")).unwrap(job.key)
    if key is None:
        raise _HopelessError("gateway and serve have different node keys (SADA_NODE_KEY): give both the same one")
    session = Session(settings)
    profile = session.profile(node)
    if profile is None:
        raise _HopelessError("nobody is known by this any more")
    try:
        found = of_topics(profile, session.live, _renewing(jobs, node, job), most_bytes=MAX_HELD_BYTES)
    except TooMuchError:
        raise _HopelessError(_TOO_MUCH) from None
    document = whole(profile, found, at_ms=time.time_ns() // 1_000_000)
    raw = sealed(orjson.dumps(document), key, node)
    if len(raw) > MAX_BYTES:
        raise _HopelessError(_TOO_MUCH)
    return raw


def _renewing(jobs: Jobs, node: bytes, job: Job) -> Callable[[int, int], None]:
    """Return what is told how far the reading is, and keeps the job for us meanwhile."""
    told_s = 0.0

    def passed(done: int, of: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > _RENEW_EVERY_S:
            told_s = time.monotonic()
            if not jobs.renew(node, job, time.time(), done=done, of=of):
                raise _GoneError

    return passed


if __name__ == "__main__":
    sys.exit(main())
