"""``make chaos``: the whole system under load, killed, paused and restarted; then every signal is accounted for.

``python -m tests.chaos --help`` explains the options.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from redis import Redis
from rich.console import Console
from rich.table import Table

from deploy.local.running import ROOT, Running, running
from tests.chaos import faults, load, verifier

console = Console()


def main() -> int:
    """Run it; return the process's exit code."""
    options = _options()
    catalogue = ROOT / "deploy" / "local" / "catalogue.yaml"
    console.print(f"starting the stack in {options.var} ...")
    with running(options.var, settings={"SADA_PARTITIONS": "4", "SADA_CATALOGUE": str(catalogue)}) as stack:
        report = _attack(stack, options)
    return _show(report)


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


def _attack(stack: Running, options: argparse.Namespace) -> dict[str, Any]:
    var, kafka = stack.var, stack.kafka
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
    stack.drain()
    time.sleep(3.0)  # the last profiles on their way to Redis
    verdict = verifier.verify(
        kafka, truth, _profiles_in(stack.up["redis"]), seal_key=bytes.fromhex(stack.environment()["SADA_SEAL_KEY"])
    )
    if stack.process.poll() is not None:
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


def _show(report: dict[str, Any]) -> int:
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
