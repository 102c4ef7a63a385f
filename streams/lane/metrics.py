"""Prometheus metrics of the lane. Labels are stage, topic and partition only: never a key, never a person."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from streams.lane.observer import Committed, Lag

_PLACE = ("stage", "partition")
# Around the measured commit (p50 9 ms, p95 17 ms), up to the transaction timeout.
_COMMIT_S = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_RECORDS = (0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10000)


class PrometheusObserver:
    """Tells Prometheus what the lane does.

    Parameters
    ----------
    group : consumer group, the label of ``kafka_consumergroup_lag``
    registry : where the metrics are registered
    """

    def __init__(self, group: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._group = group

        def counter(name: str, text: str) -> Counter:
            return Counter(f"sada_lane_{name}", text, _PLACE, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"sada_lane_{name}", text, _PLACE, registry=registry)

        self._records = counter("records_total", "Source records committed.")
        self._batches = counter("batches_total", "Transactions committed.")
        self._outputs = counter("outputs_total", "Output records committed, dead letters left out.")
        self._changes = counter("changes_total", "State changes committed.")
        self._dead_letters = counter("dead_letters_total", "Records that became dead letters.")
        self._aborts = counter("aborts_total", "Transactions aborted; their overlay was dropped.")
        self._commit = Histogram(
            "sada_lane_commit_seconds", "Commit of a transaction.", _PLACE, buckets=_COMMIT_S, registry=registry
        )
        self._batch = Histogram(
            "sada_lane_batch_records", "Records per transaction.", _PLACE, buckets=_BATCH_RECORDS, registry=registry
        )
        self._recovery = gauge("recovery_seconds", "Duration of the last recovery of a partition.")
        self._recovered = gauge("recovered_keys", "Keys that the last recovery of a partition found.")
        self._stream_time = gauge("stream_time_seconds", "Stream time of a partition, epoch seconds.")
        self._secrets = gauge("secrets_left", "Secrets that may still be wrapped under the seal key of before.")
        self._oldest = gauge("oldest_unprocessed_seconds", "Age of the oldest fetched record that is not committed.")
        self._lag = Gauge(
            "kafka_consumergroup_lag",
            "Records of a source partition that are not committed.",
            ("consumergroup", "topic", "partition"),
            registry=registry,
        )
        self._offset = Gauge(
            "kafka_consumergroup_current_offset",
            "Offset of a source partition after which nothing is committed.",
            ("consumergroup", "topic", "partition"),
            registry=registry,
        )
        self._topics: dict[tuple[str, int], set[str]] = {}

    def committed(self, batch: Committed) -> None:
        """Count a committed batch."""
        place = (batch.stage, str(batch.partition))
        self._records.labels(*place).inc(batch.records)
        self._batches.labels(*place).inc()
        self._outputs.labels(*place).inc(batch.outputs)
        self._changes.labels(*place).inc(batch.changes)
        if batch.dead_letters:
            self._dead_letters.labels(*place).inc(batch.dead_letters)
        self._commit.labels(*place).observe(batch.commit_s)
        self._batch.labels(*place).observe(batch.records)
        self._stream_time.labels(*place).set(max(0, batch.stream_ms) / 1000)
        self._secrets.labels(*place).set(batch.secrets_left)

    def aborted(self, stage: str, partition: int) -> None:
        """Count an aborted transaction."""
        self._aborts.labels(stage, str(partition)).inc()

    def recovered(self, stage: str, partition: int, keys: int, seconds: float) -> None:
        """Show what a recovery found and took."""
        self._recovery.labels(stage, str(partition)).set(seconds)
        self._recovered.labels(stage, str(partition)).set(keys)

    def lag(self, lag: Lag) -> None:
        """Show how far behind a source partition is."""
        self._topics.setdefault((lag.stage, lag.partition), set()).add(lag.topic)
        self._lag.labels(self._group, lag.topic, str(lag.partition)).set(lag.records)
        self._offset.labels(self._group, lag.topic, str(lag.partition)).set(lag.next_offset)
        self._oldest.labels(lag.stage, str(lag.partition)).set(lag.oldest_s)

    def released(self, stage: str, partition: int) -> None:
        """Remove the gauges of a partition that another worker has now: two workers must not both show it."""
        for gauge in (self._recovery, self._recovered, self._stream_time, self._secrets, self._oldest):
            gauge.remove(stage, str(partition))
        for topic in self._topics.pop((stage, partition), ()):
            self._lag.remove(self._group, topic, str(partition))
            self._offset.remove(self._group, topic, str(partition))
