"""The scorers that this process uses, kept up to date from the topic ``models``."""

import logging
import threading
from typing import Any

from prometheus_client import Counter, Gauge

from models.registry import MODELS, load
from models.scorers import ScorerSet
from models.snapshot import SnapshotError
from schemas.views import SnapshotView
from schemas.wire import WireError, codec_of

log = logging.getLogger(__name__)

LOADED = Gauge("sada_model_loaded_version", "Version of the snapshot that this process scores with.", ["model"])
REFUSED = Counter("sada_model_snapshots_refused_total", "Snapshots that were not loaded.", ["model", "code"])


class LiveScorers:
    """Holds the newest scorer set; ``on_record`` swaps it whole, so a reader sees the old set or the new one.

    Parameters
    ----------
    key : ``Settings.secret("snapshot_key")``

    Attributes
    ----------
    current : the set to score with now; take it once per batch

    Examples
    --------
    ::

        live = LiveScorers(settings.secret("snapshot_key"))
        reader = BroadcastReader(settings.librdkafka(), settings.topic(MODELS), live.on_record)
    """

    def __init__(self, key: bytes) -> None:
        self.current = ScorerSet()
        self._key = key
        self._swap = threading.Lock()
        self._seals: dict[str, bytes] = {}

    def on_record(self, key: bytes | None, value: bytes | None) -> None:
        """Load a snapshot; a bad one is counted, logged and refused, and the old one stays.

        A tombstone changes nothing: what is loaded goes on serving.
        """
        if value is None:
            return
        name = "unknown"
        try:
            view: Any = codec_of("model_snapshot").decode(value)
            name = view["model"] if view["model"] in MODELS else "unknown"
            self._take(key, view)
        except (SnapshotError, WireError) as exc:
            REFUSED.labels(name, exc.code).inc()
            log.warning("snapshot of %s refused (%s): %s", name, exc.code, exc)

    def _take(self, key: bytes | None, view: SnapshotView) -> None:
        name = view["model"]
        if key != name.encode():
            raise SnapshotError("wrong-key", f"a snapshot of {name[:100]!r} under another key than its name")
        if self._seals.get(name) == view["mac"]:
            return  # read again after a reconnect
        with self._swap:
            self.current = load(self.current, view, self._key)
            self._seals[name] = view["mac"]
        LOADED.labels(name).set(view["version"])
