"""Kafka and Redis alone, on free ports, until this process ends: ``python -m deploy.local.services FOLDER ENV_FILE``.

For a working day: source the file that it writes, and every test run uses these two instead of starting its own.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.local import jars, kafka, redis, registry
from deploy.local.processes import StackError, free_port, running

# A free port may be taken by somebody else before the server binds it; three draws in a row do not fail.
_ATTEMPTS = 3


@contextlib.contextmanager
def kafka_running(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a broker on free ports, with settings over ours; give its bootstrap address."""
    cache = jars.cache_folder(folder / "cache")
    with contextlib.ExitStack() as stack:
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_port()
            spec = kafka.node(folder / "kafka", port=port, controller_port=free_port(), cache=cache, settings=settings)
            try:
                stack.enter_context(running(spec, folder / "kafka.log"))
                break
            except StackError:
                if attempt == _ATTEMPTS:
                    raise
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def redis_running(folder: Path) -> Iterator[str]:
    """Run a Redis on a free port; give its URL."""
    with contextlib.ExitStack() as stack:
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_port()
            try:
                stack.enter_context(running(redis.server(folder / "redis", port=port), folder / "redis.log"))
                break
            except StackError:
                if attempt == _ATTEMPTS:
                    raise
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def registry_running(folder: Path) -> Iterator[str]:
    """Run a schema registry on a free port; give the URL of its Confluent API."""
    cache = jars.cache_folder(folder / "cache")
    port = free_port()
    with running(registry.server(port=port, cache=cache), folder / "registry.log"):
        yield registry.url(port)


def main(folder: Path, env_file: Path) -> None:
    """Run both until SIGTERM or Ctrl-C, their addresses in a file for the shell."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with kafka_running(folder) as bootstrap, redis_running(folder) as url:
        lines = f"export SADA_TEST_KAFKA={bootstrap}\nexport SADA_TEST_REDIS={url}\n"
        scratch = env_file.with_suffix(".new")
        scratch.write_text(lines)
        scratch.replace(env_file)
        sys.stdout.write(f"{lines}# running as pid {os.getpid()}; this is also in {env_file}\n")
        sys.stdout.flush()
        ended.wait()
        env_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
