"""The thread of `sada serve` that has exports made, one after another."""

import subprocess
import sys
import threading
import time

import structlog
from prometheus_client import Counter
from redis import RedisError

from connectors.privacy.jobs import Jobs

EXPORTS = Counter("sada_privacy_exports", "Exports that the API was asked for: made, waiting again, failed.", ["state"])

_log = structlog.get_logger(__name__)

# How often somebody may have asked, in seconds; a person waits.
_LOOK_EVERY_S = 0.5
_ENDS_WITHIN_S = 10.0


class Exporter:
    """Takes what was asked for and starts a process that makes it.

    Parameters
    ----------
    jobs : what was asked for
    ended : set when the process ends
    """

    def __init__(self, jobs: Jobs, ended: threading.Event) -> None:
        self._jobs = jobs
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended; a process that works is ended, and its job taken up by whoever comes next."""
        self._thread.join(_ENDS_WITHIN_S + 1)

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            try:
                node = self._jobs.take(time.time())
                if node is not None:
                    self._make(node)
            except RedisError as error:  # the materialiser beside us says that Redis is away, and until when
                _log.debug("no look at exports", reason=type(error).__name__)

    def _make(self, node: bytes) -> None:
        job = self._jobs.find(node)
        if job is None:
            return
        process = subprocess.Popen(  # noqa: S603 - ourselves, with hexadecimal digits
            [sys.executable, "-m", "connectors.privacy.make", node.hex()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while (code := _ended_with(process)) is None:
            if self._ended.is_set():
                process.terminate()
                process.wait(_ENDS_WITHIN_S)
                return
        if code:
            self._jobs.failed(node, job, f"it ended with {code}: see the log of serve", time.time())
        now = self._jobs.find(node)
        state = "gone" if now is None else now.state
        EXPORTS.labels(state).inc()
        _log.info("export", state=state, reason="" if now is None else now.reason)


def _ended_with(process: "subprocess.Popen[bytes]") -> int | None:
    """Wait a little for a process; return its exit code, None while it runs."""
    try:
        return process.wait(_LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None
