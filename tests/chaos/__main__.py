"""``make chaos``: the whole system under load, killed, paused and restarted; then every signal is accounted for.

``python -m tests.chaos --help`` explains the options.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from redis import Redis
from rich.console import Console
from rich.table import Table

from tests.chaos import faults, load, verifier

ROOT = Path(__file__).parents[2]
console = Console()


def main() -> int:
    """Run it; return the process's exit code."""
    options = _options()
    var = options.var.resolve()
    if var.exists() and not (var / "secrets.json").exists() and any(var.iterdir()):
        console.print(f"{var} holds something that is not a stack of Sada; name another with --var")
        return 2
    stack = _start(var)
    try:
        report = _attack(var, options, stack)
    finally:
        stack.terminate()
        stack.wait(120)
    return _show(report, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--signals", type=int, default=200_000, help="at least; it goes on until the faults are over")
    parser.add_argument("--rate", type=float, default=1_000.0, help="signals per second written")
    parser.add_argument("--kills", type=int, default=8, help="kill -9 of a worker")
    parser.add_argument("--pauses", type=int, default=4, help="SIGSTOP of a worker past its session timeout")
    parser.add_argument("--no-restarts", action="store_true", help="leave the broker and Redis alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "chaos")
    parser.add_argument("--short", action="store_true", help="for CI: 12,000 signals, 2 kills, 1 pause, both restarts")
    options = parser.parse_args()
    if options.short:
        options.signals, options.kills, options.pauses, options.rate = 12_000, 2, 1, 400.0
    return options


def _start(var: Path) -> subprocess.Popen[bytes]:
    """Start a fresh stack and wait until all of it is ready."""
    _wipe(var)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SADA_")},
        "SADA_PARTITIONS": "4",
        "SADA_CATALOGUE": str(ROOT / "deploy" / "local" / "catalogue.yaml"),
    }
    log = (var / "up.log").open("wb")
    stack = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "up", "--var", str(var), "--gateway-port", "0", "--kafka-port", "0",
         "--redis-port", "0"],
        cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    log.close()
    console.print(f"starting the stack in {var} ...")
    deadline = time.monotonic() + 240
    while not (var / "up.json").exists():
        if stack.poll() is not None or time.monotonic() > deadline:
            stack.terminate()
            raise SystemExit(f"the stack did not start:\n{(var / 'up.log').read_text()[-2000:]}")
        time.sleep(0.2)
    return stack


def _wipe(var: Path) -> None:
    """Remove an earlier run's state: its signals would be counted."""
    import shutil

    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)


def _attack(var: Path, options: argparse.Namespace, stack: subprocess.Popen[bytes]) -> dict[str, Any]:
    up = json.loads((var / "up.json").read_text())
    kafka, redis = up["kafka"], up["redis"]
    stop = threading.Event()
    done: list[faults.Faults] = []

    def attack() -> None:
        done.append(
            faults.run(
                var,
                kills=options.kills,
                pauses=options.pauses,
                restarts=not options.no_restarts,
                seed=options.seed,
                stop=stop,
                say=console.print,
            )
        )

    attacker = threading.Thread(target=attack, name="faults")
    attacker.start()
    started = time.monotonic()
    truth = _write(kafka, options, attacker)
    attacker.join()
    console.print(f"{truth.written} records acknowledged in {time.monotonic() - started:.0f} s; waiting for the end")
    for name in ("worker-1", "worker-2", "serve", "redis", "kafka"):
        faults.wait_for(var, name)
    _drain(kafka)
    time.sleep(3.0)  # the last profiles on their way to Redis
    verdict = verifier.verify(kafka, truth, _profiles_in(redis))
    if stack.poll() is not None:
        verdict.notes.append("the supervisor itself ended")
    did = done[0] if done else faults.Faults()
    return {
        "signals": truth.written,
        "unique": len(truth.people),
        "retries": truth.retries,
        "garbage": truth.garbage,
        "kills": did.kills,
        "pauses": did.pauses,
        "broker_restarts": did.broker_restarts,
        "redis_restarts": did.redis_restarts,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "duplicate_outputs": verdict.duplicate_outputs,
        "orphan_facets": verdict.orphan_facets,
        "wrong_customers": verdict.wrong_customers,
        "wrong_money": verdict.wrong_money,
        "dead_letters_missing": verdict.dead_letters_missing,
        "dead_letters_unexpected": verdict.dead_letters_unexpected,
        "redis_differences": verdict.redis_differences,
        "notes": verdict.notes[:20],
        "ok": verdict.ok and did.kills >= options.kills and did.pauses >= options.pauses,
    }


def _write(kafka: str, options: argparse.Namespace, attacker: threading.Thread) -> load.Truth:
    """Write the load at its rate, and go on until the faults are over; only what was acknowledged is true."""
    truth = load.Truth()
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            # The broker is restarted under it: what is under way waits for it.
            "message.timeout.ms": 180_000,
            "queue.buffering.max.messages": 500_000,
            "log_level": 2,
        }
    )
    start_ms = int(time.time() * 1000) - 86_400_000
    began = time.monotonic()
    planned = load.signals(10 * options.signals, seed=options.seed, start_ms=start_ms, step_ms=20)
    for number, record in enumerate(planned):
        if number >= options.signals and (not attacker.is_alive() or number >= 3 * options.signals):
            break

        def acknowledged(error: object, _: object, record: load.Planned = record) -> None:
            if error is None:
                truth.accept(record)

        producer.produce(record.topic, record.value, key=record.key, on_delivery=acknowledged)
        if number % 50 == 0:
            producer.poll(0)
            ahead = began + number / options.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    left = producer.flush(240)
    if left:
        raise SystemExit(f"{left} records were not acknowledged within 240 s")
    return truth


def _drain(kafka: str, *, timeout_s: float = 600.0) -> None:
    """Wait until the workers' committed offsets have reached the ends of their topics, and stay there."""
    deadline = time.monotonic() + timeout_s
    calm = 0
    while calm < 5:
        lag = lag_of(kafka, "sada")
        calm = calm + 1 if lag == 0 else 0
        if time.monotonic() > deadline:
            raise SystemExit(f"{lag} records are still waiting after {timeout_s:.0f} s")
        time.sleep(0.5)


def lag_of(kafka: str, group: str) -> int:
    """Return how many records the group has not committed yet; ticks, which never end, left out.

    The end of a topic that transactions write is a commit marker, not a record: what lies behind the committed
    offset is read and counted.
    """
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    committed = [p for p in future.result().topic_partitions if not p.topic.endswith("ticks")]
    ends = admin.list_offsets({TopicPartition(p.topic, p.partition): OffsetSpec.latest() for p in committed})
    reached = {(p.topic, p.partition): max(0, p.offset) for p in committed}
    behind = [
        TopicPartition(place.topic, place.partition, reached[place.topic, place.partition])
        for place, end in ends.items()
        if end.result().offset > reached[place.topic, place.partition]
    ]
    if sum(ends[TopicPartition(p.topic, p.partition)].result().offset - p.offset for p in behind) > 10_000:
        return 10_000  # far from the end: no need to read
    return sum(1 for _ in verifier.Reader(kafka).between(behind))


def _profiles_in(address: str) -> dict[str, int]:
    """Return what Redis says: customer to number of signals."""
    with Redis.from_url(address) as redis:
        found = {}
        for key in redis.scan_iter(match="*profile*", count=1_000):
            raw = redis.get(key) if redis.type(key) == b"string" else None
            if raw:
                profile = json.loads(raw)
                found[profile["customer"]] = profile["history"]["signals"]
        return found


def _show(report: dict[str, Any], options: argparse.Namespace) -> int:
    table = Table(title="chaos", show_header=False)
    for name, value in report.items():
        if name != "notes":
            table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    console.print(table)
    for note in report["notes"]:
        console.print(f"  {note}")
    reports = ROOT / "var" / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "chaos.json").write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"[{'green' if report['ok'] else 'red'}]{'exact' if report['ok'] else 'NOT EXACT'}[/]")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
