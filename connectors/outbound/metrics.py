"""Metrics of delivery; labels hold channels and results only."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter("sada_deliveries_total", "Actions finished, by what became of them.", ["channel", "event"])
RETRIES = Counter("sada_delivery_retries_total", "Sends that failed for now.", ["channel", "code"])
DEAD_LETTERS = Counter("sada_delivery_dead_letters_total", "Actions given up.", ["channel", "code"])
REPEATS = Counter("sada_delivery_repeats_total", "Actions read again after they were settled; not sent.", ["channel"])
PENDING = Gauge("sada_delivery_pending", "Actions taken and not finished.", ["channel"])
REDIS_WAITS = Counter("sada_delivery_redis_waits_total", "Times that work waited for Redis.", ["channel"])
# From 1 ms (an inbox) to a minute (a slow relay).
SEND_SECONDS = Histogram(
    "sada_delivery_send_seconds",
    "Time of one send to its answer.",
    ["channel"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60),
)
