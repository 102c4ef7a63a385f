"""The materialiser's metrics: how far the view is behind, in records and in seconds."""

from prometheus_client import Counter, Gauge, Histogram

LAG_RECORDS = Gauge("sada_serve_lag_records", "Records not yet in the view.", ["topic", "partition"])
LAG_SECONDS = Gauge(
    "sada_serve_lag_seconds", "Age of the last record applied while there are more; else 0.", ["topic", "partition"]
)
APPLIED = Counter("sada_serve_records_applied", "Records that the view reflects.", ["topic"])
REFUSED = Counter("sada_serve_records_refused", "Records that are not what their topic holds.", ["topic", "code"])
REDIS_UP = Gauge("sada_serve_redis_up", "Whether Redis answered last.")
REWINDS = Counter("sada_serve_rewinds", "Times that reading went back to where Redis is.")
APPLY_SECONDS = Histogram(
    "sada_serve_apply_seconds",
    "Time to apply a batch of one partition.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)
REVIEWS_OPEN = Gauge("sada_reviews_open", "Near matches that wait for a person's answer.")
REVIEWS_OLDEST = Gauge("sada_reviews_oldest_seconds", "Since when the oldest of them waits; 0 where none does.")
