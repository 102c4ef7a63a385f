"""Count per key in stock Faust, as its documentation has it: ``stock_faust.py BOOTSTRAP SOURCE RUN``."""

import sys
from pathlib import Path
from typing import Any

import faust

bootstrap, source, name = sys.argv[1:4]
app = faust.App(
    name,
    broker=f"kafka://{bootstrap}",
    store="memory://",
    topic_partitions=4,
    topic_disable_leader=True,
    web_enabled=False,
    datadir=str(Path(sys.argv[4]) / name),
)
counts = app.Table("counts", default=int, key_type=bytes, partitions=4)


@app.agent(
    app.topic(source, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"), name="count"
)  # type: ignore[untyped-decorator]  # Faust has no types
async def count(stream: Any) -> None:
    async for event in stream.events():
        counts[event.key] += 1


if __name__ == "__main__":
    Path(sys.argv[4]).mkdir(parents=True, exist_ok=True)
    app.finalize()
    sys.argv[1:] = ["worker", "-l", "info", "--without-web"]
    app.main()
