"""Count per key in Quix Streams, exactly once: ``quix.py BOOTSTRAP SOURCE RUN STATE_DIR``, in its own environment."""

import sys
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]  # its own environment has it

bootstrap, source, name, folder = sys.argv[1:5]
app = Application(
    broker_address=bootstrap,
    consumer_group=name,
    processing_guarantee="exactly-once",
    auto_offset_reset="earliest",
    auto_create_topics=True,
    state_dir=folder,
    # Its own commit interval of 5 s is left: longer transactions are to its advantage here.
)
lines = app.topic(source, key_deserializer="bytes", value_deserializer="bytes")


def count(_value: Any, state: State) -> None:
    state.set("n", state.get("n", 0) + 1)


if __name__ == "__main__":
    app.dataframe(lines).update(count, stateful=True)
    app.run()
