"""The operator: parts and joins people through the topic ``rulings`` while workers die, and the evidence comes again.

Who is ruled upon is whole: the topic ``profiles`` shows all of a person's identifiers in one customer, so that what
must come of a ruling is certain. Since all ties of a person are bridges, a cut parts it in two, and a split into as
many parts as the identifier had ties, and itself.
"""

import random
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeVar

from confluent_kafka import Consumer, Message, Producer

from connectors.operate.rulings import Ruling
from schemas.topics import PROFILES, RULINGS
from schemas.wire import codec_of
from tests.chaos.load import Book, planned
from tests.chaos.people import Name, Story
from tests.chaos.truth import Planned, Ruled

# How many people wait at most to be ruled upon.
MOST_READY = 50
# A cut that is taken back is so after so many seconds: mostly it has been obeyed by then, but not where a worker died.
TAKEN_BACK_AFTER_S = 2.0
# What is ruled, in turn.
CASES = ("cut", "split", "merge", "cut and taken back", "erase")
# When the load is over, each of them is waited for so long: people become whole as the workers catch up, in seconds.
RULED_WITHIN_S = 90.0
# All records must be acknowledged within, in seconds: the broker is restarted under us.
ACKNOWLEDGED_WITHIN_S = 180.0

_T = TypeVar("_T")

_profile = codec_of("profile")
_ruling = codec_of("ruling")


@dataclass(frozen=True, slots=True)
class Whole:
    """A person who is one customer, with the node of each name."""

    story: Story
    nodes: dict[Name, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """What is ruled upon a person at once, what is ruled later, and the names of the evidence that comes again."""

    now: Ruled
    later: Ruled | None = None
    evidence: tuple[Name, ...] = ()


def choose(kind: str, first: Story, second: Story, mark: str, rnd: random.Random) -> Case:
    """Return what to rule upon somebody; on the second person only where two are made one.

    Parameters
    ----------
    kind : one of ``CASES``
    mark : begins the rulings' ids
    """
    tie = rnd.choice(first.ties)
    if kind.startswith("cut"):
        back = Ruled(f"{mark}-back", "merge", *tie, outcomes=1) if kind != "cut" else None
        return Case(Ruled(f"{mark}-cut", "cut", *tie, outcomes=1), back, tie)
    if kind == "split":
        out = rnd.choice(tie)
        parts = sum(out in each for each in first.ties)
        return Case(Ruled(f"{mark}-split", "split", out, None, outcomes=parts), None, tie)
    if kind == "erase":
        return Case(Ruled(f"{mark}-erase", "erase", tie[0], None, outcomes=1), None, tie)
    other = rnd.choice(sorted(second.names))
    return Case(Ruled(f"{mark}-merge", "merge", rnd.choice(sorted(first.names)), other, outcomes=1))


class Operator:
    """Rules, one case after the other, in a thread of its own.

    Parameters
    ----------
    kafka : bootstrap address
    book : who is who
    every_s : between two cases
    """

    def __init__(self, kafka: str, book: Book, *, seed: int, every_s: float) -> None:
        self.rulings: list[Ruled] = []  # that were acknowledged
        self.evidence: list[Planned] = []
        self.read = 0
        self._book, self._seed, self._every_s = book, seed, every_s
        settings = {"bootstrap.servers": kafka, "log_level": 2}
        timeout_ms = int(1_000 * ACKNOWLEDGED_WITHIN_S)
        self._producer = Producer({**settings, "enable.idempotence": True, "message.timeout.ms": timeout_ms})
        reader = {"group.id": "chaos-operator", "isolation.level": "read_committed", "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**settings, **reader})
        self._ready: deque[Whole] = deque(maxlen=MOST_READY)
        self._known: set[int] = set()
        self._later: deque[tuple[float, Ruled, dict[Name, bytes]]] = deque()
        self._cases = 0
        self._failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator")

    def told(self) -> str:
        """Say what was done."""
        return f"{len(self.rulings)} rulings on {len(self._known)} people found whole in {self.read} profiles"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Come to an end: each kind was ruled, what is to be taken back is, and all is acknowledged.

        Raises
        ------
        RuntimeError
            when something was not
        """
        deadline = time.monotonic() + RULED_WITHIN_S
        while self._cases < len(CASES) and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.5)
        self._stop.set()
        self._thread.join()
        if self._failed:
            raise RuntimeError(f"the operator failed: {'; '.join(self._failed[:5])}")

    def _run(self) -> None:
        rnd = random.Random(f"{self._seed}/operator")
        self._consumer.subscribe([PROFILES])
        due_s = time.monotonic() + self._every_s
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(500, 0.1):
                    self._look_at(message)
                self._producer.poll(0)
                self._take_back(time.monotonic())
                if time.monotonic() >= due_s and len(self._ready) > 1:
                    due_s = time.monotonic() + self._every_s
                    self._rule(rnd)
            self._take_back(float("inf"))
            left = self._producer.flush(ACKNOWLEDGED_WITHIN_S)
            if left:
                self._failed.append(f"{left} records were not acknowledged")
        except Exception as error:  # noqa: BLE001 - told by finish, to whoever asks for the result
            self._failed.append(repr(error))
        finally:
            self._consumer.close()

    def _look_at(self, message: Message) -> None:
        """Note a person who is whole now."""
        key, value = message.key(), message.value()
        if message.error() is not None or not key or not value:
            return
        self.read += 1
        nodes = {(each["kind"], each["value"]): each["node"] for each in _profile.decode(value)["members"]}
        found = self._book.stories.get(next(iter(nodes)))
        if found and not found.shared and found.number not in self._known and nodes.keys() == found.names:
            self._known.add(found.number)
            self._ready.append(Whole(found, nodes))

    def _rule(self, rnd: random.Random) -> None:
        """Rule upon who has been whole the longest."""
        first, second = self._ready.popleft(), self._ready.popleft()
        kind = CASES[self._cases % len(CASES)]
        self._cases += 1
        case = choose(kind, first.story, second.story, f"ruling-{self._cases}", rnd)
        nodes = first.nodes | second.nodes
        erased = {node: name for name, node in first.nodes.items()} if kind == "erase" else {}
        self._say(replace(case.now, erased=erased), nodes)
        if case.later is not None:
            self._later.append((time.monotonic() + TAKEN_BACK_AFTER_S, case.later, nodes))
        if case.evidence:
            record = planned(f"again-{self._cases}", case.evidence, "web", _now_ms(), 0)
            self._write(record.topic, record.key, record.value, self.evidence, record)
        if case.now.other not in second.story.names:
            self._ready.appendleft(second)

    def _take_back(self, now_s: float) -> None:
        while self._later and self._later[0][0] <= now_s:
            _, ruled, nodes = self._later.popleft()
            self._say(ruled, nodes)

    def _say(self, ruled: Ruled, nodes: dict[Name, bytes]) -> None:
        other = b"" if ruled.other is None else nodes[ruled.other]
        ruling = Ruling(ruled.id, ruled.kind, nodes[ruled.one], other, "chaos", "chaos", _now_ms())
        self._write(RULINGS, ruling.node, _ruling.encode(ruling.record()), self.rulings, ruled)

    def _write(self, topic: str, key: bytes, value: bytes, kept: list[_T], what: _T) -> None:
        """Write a record; keep what it is when it is acknowledged."""

        def acknowledged(error: object, _: object) -> None:
            if error is None:
                kept.append(what)
            else:
                self._failed.append(f"{topic}: {error}")

        self._producer.produce(topic, value, key=key, on_delivery=acknowledged)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
