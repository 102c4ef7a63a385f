"""Configuration of one worker's lane: where Kafka is and how the lane behaves; no environment is read here."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LibrdkafkaConfig = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneConfig:
    """All that the lane needs to know besides its stages.

    Parameters
    ----------
    app : consumer group, and prefix of the transactional ids: the same for all workers of one application
    bootstrap : ``host:port[,host:port]``
    security, sasl_mechanism, user, password, ca : as of ``streams.settings.Settings``, for both Kafka clients
    store : ``memory`` or ``rocksdb`` (needs the extra ``rocksdb``; a cache of the changelog on disk)
    directory : this worker's own directory; RocksDB lives in it. Never shared by two workers
    session_timeout_s : how long a silent worker keeps its partitions, seconds
    transaction_timeout_s : how long the broker leaves an open transaction of a dead worker before it aborts it
    fetch_wait_ms : longest that the broker holds a fetch while nothing comes; the first byte ends it
    fetch_gather_ms : longest that the broker holds a fetch while records come, to gather more
    commit_linger_ms : how long a batch that is not full waits for more records before its transaction begins
    producer_linger_ms : librdkafka's linger while a batch is being produced; the commit flushes at once
    compression : of what the lane produces
    message_max_bytes : largest message the lane may produce
    stall_after_s : records waiting and nothing committed for so long makes ``health.live()`` false
    decoded_bytes : bound on the decoded values kept per partition, so that hot keys are decoded once; encoded bytes
    due_per_batch : most due keys handed to a job in one batch
    seal_key : wraps the secrets of stages with a vault; at least 32 bytes
    seal_key_before : the one that it takes the place of; None: none
    """

    app: str
    bootstrap: str = "127.0.0.1:9092"
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None

    store: Literal["memory", "rocksdb"] = "memory"
    directory: Path = Path("var/lane")

    # 10 s: under the broker's group.min.session.timeout.ms (6 s) a join fails for ever; longer delays a take-over.
    session_timeout_s: float = 10.0
    # A third of the session timeout: two heartbeats may be lost.
    heartbeat_s: float = 3.0
    # 30 s: well above a commit (p95 17 ms) and a broker restart (3 s), so only the dead are aborted; readers of the
    # outputs wait at most so long for a dead worker that nobody replaces.
    transaction_timeout_s: float = 30.0
    # 500 ms, Kafka's own default. A fetch of 48 partitions costs broker and worker some 4 ms of CPU together, found or
    # not, so a quiet worker asks twice a second.
    fetch_wait_ms: int = 500
    # 25 ms: while records come, each of them would end a fetch; gathered, there are at most forty a second. Beside 300
    # signals/s on two cores p50 fell from 171 ms (10 ms) to 91; 40 ms gave 117.
    fetch_gather_ms: int = 25
    commit_linger_ms: int = 0
    # 5 ms: a batch of 1,000 outputs goes out in one or two requests; the flush of the commit does not wait for it.
    producer_linger_ms: int = 5
    compression: Literal["none", "lz4", "zstd", "snappy", "gzip"] = "none"
    message_max_bytes: int = 1_000_000
    # 60 s: twice the transaction timeout: a slow commit is not a stall, a hung partition is seen within a minute.
    stall_after_s: float = 60.0
    # 2 MB, four hundred golden records of 5 kB. Decoded they take up some seven times as much, so a worker with twelve
    # partitions spends at most 170 MB on it, whatever it has in its state; a record that is cold costs 40 us more.
    decoded_bytes: int = 2_000_000
    # 1,000: as many as the default batch of records, so a flood of timers costs what a full batch costs.
    due_per_batch: int = 1_000
    seal_key: bytes | None = field(default=None, repr=False)
    seal_key_before: bytes | None = field(default=None, repr=False)

    def librdkafka(self) -> LibrdkafkaConfig:
        """Return the connection part of a confluent-kafka configuration."""
        config: LibrdkafkaConfig = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security}
        if self.security.startswith("SASL"):
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.user or "",
                "sasl.password": self.password or "",
            }
        if self.ca is not None:
            config["ssl.ca.location"] = str(self.ca)
        return config

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context of aiokafka's consumer, or None without TLS."""
        if not self.security.endswith("SSL"):
            return None
        return ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
