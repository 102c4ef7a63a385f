"""What the processes say of themselves on /metrics: for the live view, and for pacing the simulated time."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import aiohttp

_SAMPLE = re.compile(r"^(sada_\w+|kafka_consumergroup_lag)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)

Sample = tuple[str, dict[str, str], float]


def samples(page: str) -> Iterator[Sample]:
    """Yield the samples of ours on a page of metrics: name, labels, value."""
    for name, labels, value in _SAMPLE.findall(page):
        yield name, dict(_LABEL.findall(labels)), float(value)


class Gauges:
    """All processes' metrics together.

    Parameters
    ----------
    urls : pages of metrics
    partitions : of the customers agent

    Notes
    -----
    A process that is killed begins its counters anew: what they had said before is kept and added.
    """

    def __init__(self, urls: Sequence[str], partitions: int) -> None:
        self._urls = urls
        self._partitions = partitions
        self._now: dict[str, dict[str, float]] = {}
        self._before: defaultdict[str, float] = defaultdict(float)
        self._stream_ms: dict[str, dict[int, int]] = {}
        self._labels: dict[str, tuple[str, dict[str, str]]] = {}
        self._workers: set[str] = set()
        self.away: set[str] = set()

    async def refresh(self, session: aiohttp.ClientSession, *, workers_only: bool = False) -> None:
        """Read the pages, or the workers' only: a page costs its process milliseconds. Who is silent is ``away``."""
        urls = self._workers if workers_only and self._workers else self._urls
        await asyncio.gather(*(self._read(session, url) for url in tuple(urls)))

    async def _read(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            async with session.get(url, timeout=_TIMEOUT) as answer:
                page = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.away.add(url)
            self._stream_ms.pop(url, None)
            return
        self.away.discard(url)
        values: dict[str, float] = {}
        stream: dict[int, int] = {}
        for name, labels, value in samples(page):
            if name == "sada_lane_stream_time_seconds" and labels.get("stage") == "customers":
                stream[int(labels["partition"])] = int(value * 1000)
            key = _key(name, labels)
            self._labels[key] = (name, labels)
            values[key] = value
        for key, value in self._now.get(url, {}).items():
            if key.split("[", 1)[0].endswith("_total") and values.get(key, 0.0) < value:
                self._before[key] += value
        if any(key.startswith("sada_signals_total") for key in values):
            self._workers.add(url)
        self._now[url] = values
        self._stream_ms[url] = stream

    def reached_ms(self) -> int:
        """Return the simulated time that every partition has reached; 0 while one has no worker."""
        found: dict[int, int] = {}
        for stream in self._stream_ms.values():
            found.update(stream)
        return min(found.values()) if len(found) == self._partitions else 0

    def lag(self) -> int:
        """Return how many records wait for the workers, the materialiser and delivery."""
        names = ("kafka_consumergroup_lag", "sada_serve_lag_records", "sada_delivery_pending")
        return int(sum(sum(self.by(name).values()) for name in names))

    def by(self, name: str, *labels: str) -> "defaultdict[tuple[str, ...], float]":
        """Return a metric summed over processes, by some of its labels."""
        found: defaultdict[tuple[str, ...], float] = defaultdict(float)
        sources: list[Mapping[str, float]] = [self._before, *self._now.values()]
        for source in sources:
            for key, value in source.items():
                metric, named = self._labels[key]
                if metric == name:
                    found[tuple(named.get(label, "") for label in labels)] += value
        return found

    def total(self, name: str) -> float:
        """Return a metric summed over everything."""
        return float(sum(self.by(name).values()))

    def latest(self, name: str, model: str) -> float | None:
        """Return a gauge of a model, None before there is one.

        A learner's partition moves between workers, and the one that lost it shows its last values until it ends: the
        worker that has learned most is the one that learns now (as ``:newest`` in deploy/prometheus).
        """
        labels = {"model": model}
        learned, value = _key("sada_model_examples", labels), _key(name, labels)
        pages = [page for page in self._now.values() if value in page]
        newest = max(pages, key=lambda page: page.get(learned, 0.0), default={})
        return newest.get(value) or None


def _key(name: str, labels: Mapping[str, str]) -> str:
    return f"{name}{sorted(labels.items())}"
