"""``make chaos``: the whole system under load, killed, paused, restarted and rescaled while people merge and operators
rule; then every signal and every identifier is accounted for.

``python -m tests.chaos --help`` explains the options.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Producer
from redis import Redis
from rich.console import Console
from rich.table import Table

from deploy.local.running import ROOT, Running, running
from deploy.local.supervisor import State
from schemas.topics import EXAMPLES
from tests.chaos import load, report, world
from tests.chaos.faults import WORKERS, Attack, Wanted
from tests.chaos.placement import moves, recovered
from tests.chaos.rulings import Operator
from tests.chaos.truth import Planned, Truth
from tests.chaos.verifier import verify

# The load's events outrun the clock tenfold; they begin within the day in which signals are still decided upon.
STARTS_BEFORE_MS = 3_600_000
# Signals a second of each of those whose signals come mixed: a story of 20 lasts 10 s, the first half of it apart.
CROWD_HZ = 2.0
# So many times the signals that were asked for are written at most while the faults are not over.
MOST_TIMES = 4
# Labels come due for hours: what learners have not read yet is not what is verified.
SLOW = (EXAMPLES,)
# The last profiles on their way to Redis, in seconds.
SERVED_WITHIN_S = 60.0

console = Console(soft_wrap=True)
_BEGAN_S = time.monotonic()


def main() -> int:
    """Run it; return the process's exit code."""
    options = _options()
    _say(f"starting the stack in {options.var} ...")
    with TemporaryDirectory() as folder:
        catalogue = Path(folder) / "catalogue.yaml"
        catalogue.write_text(
            _at_noon((ROOT / "deploy" / "local" / "catalogue.yaml").read_text(), time.gmtime().tm_hour)
        )
        settings = {"SADA_PARTITIONS": "4", "SADA_CATALOGUE": str(catalogue)}
        with running(options.var, settings=settings, arguments=("--workers", str(len(WORKERS)))) as stack:
            told = _attack(stack, options)
    return _show(told)


def _at_noon(catalogue: str, utc_hour: int) -> str:
    """Return a catalogue whose customers have noon now: in quiet hours little would be sent, and little come of it."""
    zone = f"Etc/GMT{utc_hour - 12:+d}"  # of the sign that POSIX has: Etc/GMT+3 is three hours behind
    found, count = re.subn(r"(?m)^(  time_zone: )\S+", rf"\g<1>{zone}", catalogue)
    if count != 1:
        raise SystemExit(f"the catalogue names {count} default time zones, not one")
    return found


def _say(what: str) -> None:
    """Show what happens, with the seconds since the command began."""
    console.print(f"{time.monotonic() - _BEGAN_S:4.0f} s  {what}", markup=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--signals", type=int, default=80_000, help="at least; it goes on until the faults are over")
    parser.add_argument("--rate", type=float, default=250.0, help="signals per second written")
    parser.add_argument("--kills", type=int, default=8, help="kill -9 of a worker")
    parser.add_argument("--pauses", type=int, default=4, help="SIGSTOP of a worker past its session timeout")
    parser.add_argument("--rescales", type=int, default=3, help="from one worker to three, and back to one")
    parser.add_argument("--rulings", type=float, default=1.0, help="seconds between two rulings of the operator")
    parser.add_argument("--no-restarts", action="store_true", help="leave the broker and Redis alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "chaos")
    parser.add_argument(
        "--short", action="store_true", help="for CI: 4,500 signals, 2 kills, 1 pause, 1 rescale, both restarts"
    )
    options = parser.parse_args()
    if options.short:
        options.signals, options.kills, options.pauses, options.rescales, options.rate = 4_500, 2, 1, 1, 80.0
        options.rulings = 0.5
    return options


def _attack(stack: Running, options: argparse.Namespace) -> dict[str, Any]:
    wanted = Wanted(options.kills, options.pauses, options.rescales, restarts=not options.no_restarts)
    book = load.Book()
    attack = Attack(stack, wanted, seed=options.seed, say=_say)
    operator = Operator(stack.kafka, book, seed=options.seed, every_s=options.rulings)
    attack.start()
    operator.start()
    began = time.monotonic()
    truth = _write(stack.kafka, options, book, attack)
    written_s = time.monotonic() - began
    operator.finish()
    done = attack.finish()
    for record in operator.evidence:
        truth.accept(record)
    truth.rulings, truth.households = operator.rulings, book.households()
    _say(f"{truth.written} records acknowledged in {written_s:.0f} s, {operator.told()}; waiting for the end")
    stack.drain(besides=SLOW)
    # What became of actions is a signal, too: none may come while the topics are read.
    stack.hold("deliver")
    stack.await_state("deliver", State.STOPPED)
    stack.drain(besides=SLOW)
    _say("reading all topics ...")
    found = world.read(stack.kafka, seal_key=bytes.fromhex(stack.environment()["SADA_SEAL_KEY"]))
    found.redis = _served(stack.up["redis"], found)
    moved = moves(recovered(stack.var / "logs"))
    verdict = verify(found, truth)
    if stack.process.poll() is not None:
        done.missed.append("the supervisor itself ended")
    return report.of(truth, found, verdict, wanted=wanted, done=done, moved=moved)


def _write(kafka: str, options: argparse.Namespace, book: load.Book, attack: Attack) -> Truth:
    """Write the load at its rate, and go on until the faults are over; only what was acknowledged is true."""
    truth = Truth()
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
    began = time.monotonic()
    for number, record in enumerate(_planned(options, book)):
        if number >= options.signals and (not attack.going_on or number >= MOST_TIMES * options.signals):
            break

        def acknowledged(error: object, _: object, record: Planned = record) -> None:
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


def _planned(options: argparse.Namespace, book: load.Book) -> Iterator[Planned]:
    """Return the load of a crowd that is as large as its rate allows."""
    start_ms = int(time.time() * 1000) - STARTS_BEFORE_MS
    return load.signals(book, seed=options.seed, start_ms=start_ms, crowd=max(2, int(options.rate / CROWD_HZ)))


def _served(address: str, found: world.World) -> dict[str, int]:
    """Return what Redis says, customer to number of signals, as soon as it is what the topic says, or after a while."""
    told = {customer.hex(): profile["history"]["signals"] for customer, profile in found.profiles.items()}
    deadline = time.monotonic() + SERVED_WITHIN_S
    while True:
        served = _profiles_in(address)
        if served == told or time.monotonic() > deadline:
            return served
        time.sleep(0.5)


def _profiles_in(address: str) -> dict[str, int]:
    with Redis.from_url(address) as redis:
        found = {}
        for key in redis.scan_iter(match="*profile*", count=1_000):
            raw = redis.get(key) if redis.type(key) == b"string" else None
            if raw:
                profile = json.loads(raw)
                found[profile["customer"]] = profile["history"]["signals"]
        return found


def _show(told: dict[str, Any]) -> int:
    table = Table(title="chaos", show_header=False)
    for name, value in told.items():
        if name != "notes":
            table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    console.print(table)
    for note in told["notes"]:
        console.print(f"  {note}", markup=False)
    reports = ROOT / "var" / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "chaos.json").write_text(json.dumps(told, indent=1) + "\n")
    console.print(f"[{'green' if told['ok'] else 'red'}]{'exact' if told['ok'] else 'NOT EXACT'}[/]")
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
