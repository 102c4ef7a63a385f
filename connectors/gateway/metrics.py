"""The gateway's metrics. Labels are key names, codes and doors: never a value that a client chose."""

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("sada_gateway_signals_accepted", "Signals acknowledged by the broker.", ["key", "kind"])
REFUSED = Counter("sada_gateway_items_refused", "Items that became dead letters.", ["key", "code"])
ANSWERS = Counter("sada_gateway_answers", "Answers by door and status.", ["door", "status"])
SECONDS = Histogram(
    "sada_gateway_answer_seconds",
    "Time to answer, the broker's acknowledgement included.",
    ["door"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
WEBHOOKS = Counter("sada_gateway_webhooks", "Webhooks by source and what became of them.", ["source", "result"])
IN_FLIGHT = Gauge("sada_gateway_in_flight", "Records waiting for the broker's acknowledgement.")
