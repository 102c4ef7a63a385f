"""The steps of a rebuild, each of which may be repeated: whoever was interrupted runs it again, and it goes on.

1. *make*: topics of the new generation; workers begin anew and host it beside the live one.
2. *first*: what operators have ruled, as it stands, before any signal can tie again what they have parted.
3. *follow*: the past is copied, up to where the old generation's workers are.
4. *switch*: the old generation gives over (drain), both reach the same stream time (pass), the new one goes live.
5. *carry*: what came to the old generation's topics since is the new one's.

Why every signal is decided upon by exactly one generation: each partition of the old one answers its *drain* with the
offsets that it has read up to, in the transaction that commits the answer, and takes in nothing beyond. What lies
before is copied as past, on which the new generation decides nothing; what lies beyond is carried over as new, once, by
transactions. Doors never stop: whoever still writes to the old topics is carried.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from deploy.local.running import read
from deploy.rebuild.copier import Copier
from deploy.rebuild.diff import Customers, Diff, compare, customers_of
from deploy.rebuild.log import Log, Place, RebuildError, lag
from deploy.rebuild.past import Past, Told, mark_of, marks_of
from deploy.rebuild.reasons import differences
from schemas.admin import create_topics
from schemas.generations import Known, Table
from schemas.identifiers import Hasher
from schemas.topics import CHANNELS, INBOX, PROFILES, REPLAY, RULINGS, TOPICS, signals
from streams.agents.naming import Namer
from streams.agents.routing import Owner
from streams.generations import current_table, settings_of
from streams.settings import Settings

# Told of each step, and of progress in it.
Said = Callable[[str], None]

# The new generation is near when so few records wait: less than a second of any load that one machine takes.
_NEAR = 1_000
# One customer comes to another in a handful of messages, each an answer to the last; pointers are a few hops more.
_HOPS = 12
# How often a withdrawal that seems lost is looked for.
_LOOKS = 3
# How often the bar moves and the new generation's lag is looked up, seconds.
_LOOK_EVERY_S = 0.5
# Nothing more comes to the old topics when nothing has for so long, seconds: doors follow within one.
_QUIET_S = 3.0


class Rebuild:
    """One rebuild: from the live generation to the next.

    Parameters
    ----------
    settings : of the deployment
    said : told what is being done
    replication : of the new topics
    """

    def __init__(self, settings: Settings, said: Said, *, replication: int = 1) -> None:
        self._settings = settings
        self._said = said
        self._replication = replication
        self.log = Log(settings)
        self.table = current_table(settings)

    # ── the generations ──────────────────────────────────────────────────────────────────────────────────────────────

    def make(self, partitions: int | None, identity: Path | None, rules: Path | None) -> Known:
        """Make the next generation, or return the one that is being built."""
        last = self.table.known[-1]
        if last.name != self.table.live and last.before == self.table.live:
            return last
        live = self.table.of(self.table.live)
        known = Known(
            self.table.next_name(),
            partitions or live.partitions,
            _text(identity) if identity else live.identity or _text(self._settings.identity),
            _text(rules) if rules else live.rules or _text(self._settings.rules),
            before=live.name,
            made_at_ms=time.time_ns() // 1_000_000,
        )
        new = settings_of(self._settings, known)
        new.identity_rules()  # what cannot be used is refused before anything is made
        create_topics(
            new.librdkafka(),
            customers=known.partitions,
            prefix=new.topic_prefix,
            replication=self._replication,
            kept_ms=new.kept_ms(),
            generation=known.name,
        )
        self._say(replace(self.table, known=(*self.table.known, known)))
        return known

    def _say(self, table: Table) -> None:
        self.log.say_table(table)
        self.table = table

    def settings_of(self, known: Known) -> Settings:
        """Return a generation's settings."""
        return settings_of(self._settings, known)

    # ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def copier(self, known: Known) -> tuple[Copier, Past]:
        """Return what copies the past into a generation."""
        old, new = self.settings_of(self.table.of(known.before)), self.settings_of(known)
        hasher = Hasher(new.secret("node_key"))
        past = Past(
            old.codecs(),
            Namer(hasher, new.identity_rules()),
            Owner(known.partitions),
            since_ms=known.made_at_ms,
        )
        return Copier(self.log, old, new, past), past

    def first(self, known: Known, copier: Copier, past: Past) -> None:
        """Tell the new generation what operators have ruled, as it stands."""
        old, new = self.settings_of(self.table.of(known.before)), self.settings_of(known)
        self.log.wait_taken(old, RULINGS)
        self.log.wait_taken(old, INBOX)
        self.log.tell(new, "build")
        rulings = list(self.records(old, RULINGS))
        standing, named = self._standing(old, rulings, known.made_at_ms)
        erased = [r for r in rulings if r["kind"] == "erase" and r["at_ms"] < known.made_at_ms]
        encode = old.codecs().of(RULINGS).encode
        said = [past.told(r["node"], "ruling", r["at_ms"], value=encode(r)) for r in erased]
        copier.write_first([*said, *self._marks(old, past, named)], keep_place=False)
        # Merges find both sides only when all marks have been taken in.
        self.log.wait_dry(new, REPLAY, INBOX)
        told = [past.told(r["node"], "ruling", r["at_ms"], value=encode(r)) for r in standing]
        copier.write_first(told, keep_place=True)
        self._said(f"rulings first: {len(erased)} erasures, {len(named)} identifiers bound, {len(standing)} merges")

    def _standing(
        self, old: Settings, rulings: list[dict[str, Any]], since_ms: int
    ) -> tuple[list[dict[str, Any]], set[bytes]]:
        """Return the merges whose two sides are one customer now, and the nodes that they name."""
        merges = [r for r in rulings if r["kind"] == "merge" and r["at_ms"] < since_ms]
        if not merges:
            return [], set()
        members = {m["node"]: p["customer"] for p in self.profiles(old) for m in p["members"]}
        standing = [r for r in merges if members.get(r["node"], b"?") == members.get(r["other"], b"!")]
        return standing, {node for r in standing for node in (r["node"], r["other"])}

    def _marks(self, old: Settings, past: Past, named: set[bytes]) -> Iterator[Told]:
        """Yield what opens the nodes that cuts bind, or standing merges name, before their signals come."""
        for profile in self.profiles(old):
            bound = {m["node"]: (m["since_ms"], mark_of(m)) for m in profile["members"] if m["node"] in named}
            bound |= {node: (since_ms, mark) for node, since_ms, mark in marks_of(profile, past.since_ms)}
            for node, (since_ms, mark) in bound.items():
                yield past.told(node, "mark", since_ms, mark=mark)

    # ── the switch ───────────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, known: Known, copier: Copier, show: Callable[[int, int, int, float], None]) -> None:
        """Copy until the new generation is about where the old one is.

        Parameters
        ----------
        show : told copied, to go, how far the new generation is behind (records), and copied a second
        """
        new = self.settings_of(known)
        if self.table.switching:  # it was cut off there: what came since the drain is not past, nobody has decided it
            copier.until(self._drain(self.settings_of(self.table.of(known.before)))[0])
        places = self.log.places(new, REPLAY, INBOX)
        began = looked = time.monotonic()
        while True:
            turned = copier.turn()
            now = time.monotonic()
            if turned and now - looked < _LOOK_EVERY_S:
                continue
            looked = now
            taken, ends = self.log.taken(places), self.log.ends(places)
            behind = lag(ends, taken)
            show(copier.copied, copier.remaining, behind, copier.copied / (now - began + 1e-9))
            if copier.remaining < _NEAR and behind < _NEAR and copier.asked and not turned:
                break

    def _catch_up(self, new: Settings, copier: Copier) -> None:
        """Go on until the new generation has taken in all that the old one has by now, whatever comes meanwhile."""
        now = copier.look()
        while copier.left(now):
            copier.turn()
        self.log.wait_taken(new, REPLAY)
        for _ in range(_HOPS):
            self.log.wait_taken(new, INBOX)
            if self.log.is_dry(new, INBOX):
                return

    def switch(self, known: Known, copier: Copier) -> float:
        """Give over to the new generation; return how many seconds nothing was decided in."""
        old, new = self.settings_of(self.table.of(known.before)), self.settings_of(known)
        if not self.table.switching:
            self._say(replace(self.table, switching=True))
        began = time.monotonic()
        until, stream_ms = self._drain(old)
        self.log.wait_dry(old, INBOX)
        self._pass(old, stream_ms)
        copier.until(until)
        while copier.turn() or not copier.is_done():
            pass
        self.log.wait_dry(new, REPLAY, INBOX)
        self._pass(new, stream_ms)
        self.log.ask(new, "live", stream_ms)
        self._say(replace(self.table, live=known.name, switching=False))
        copier.carry()
        return time.monotonic() - began

    def _drain(self, old: Settings) -> tuple[dict[Place, int], int]:
        """Let a generation take no more; return where it ended and at which stream time; told again, the same."""
        self.log.tell(old, "drain")
        drained = self.log.answers(old, "drain")
        until: dict[Place, int] = {}
        for answer in drained:
            for topic, offset in answer.read.items():
                until[topic, answer.partition] = offset
        return until, max(answer.stream_ms for answer in drained)

    def _pass(self, settings: Settings, at_ms: int) -> None:
        """Bring a generation to a stream time, and wait until every timer up to it has gone off."""
        self.log.ask(settings, "pass", at_ms)
        while any(answer.due for answer in self.log.ask(settings, "pass", at_ms)):
            pass

    def carry(self, copier: Copier) -> int:
        """Carry over what still comes to the old topics until nothing does; return how many records."""
        carried, heard_s = 0, time.monotonic()
        while time.monotonic() - heard_s < _QUIET_S:
            now = copier.carry()
            carried += now
            if now:
                heard_s = time.monotonic()
        return carried

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def diff(self, known: Known, copier: Copier) -> Diff:
        """Compare the customers of a generation with those it was built from.

        First what is, then the new generation takes that in, then what became of it: near is a number of records, and
        a small system is never further off. A consent may be given again meanwhile; no withdrawal is lost but one that
        is missing each time.
        """
        old, new = self.settings_of(self.table.of(known.before)), self.settings_of(known)
        reasons = differences(old.identity_rules(), new.identity_rules())
        lost: set[tuple[str, str, str]] | None = None
        for _ in range(_LOOKS):
            before = self._customers(old)
            self._catch_up(new, copier)
            diff = compare(before, self._customers(new), reasons)
            lost = {each for each in diff.withdrawals_lost if lost is None or each in lost}
            if not lost:
                break
        diff.withdrawals_lost = sorted(lost or ())
        return diff

    def _customers(self, settings: Settings) -> Customers:
        self.log.wait_readable(settings, PROFILES)
        return customers_of(self.profiles(settings))

    def profiles(self, settings: Settings) -> Iterator[dict[str, Any]]:
        """Yield the profiles that stand."""
        last: dict[bytes, bytes | None] = {}
        for key, value in self._raw(settings, PROFILES):
            last[key or b""] = value
        decode = settings.codecs().of(PROFILES).decode
        for value in last.values():
            if value is not None:
                yield decode(value)

    def records(self, settings: Settings, name: str) -> Iterator[dict[str, Any]]:
        """Yield a topic's records, decoded."""
        decode = settings.codecs().of(name).decode
        for _, value in self._raw(settings, name):
            if value is not None:
                yield decode(value)

    def _raw(self, settings: Settings, name: str) -> Iterator[tuple[bytes | None, bytes | None]]:
        starts = self.log.ends(self.log.places(settings, name), first=True)
        yield from read(settings.kafka, [TopicPartition(*place, offset) for place, offset in starts.items()])

    def loss(self) -> int:
        """Return how many customers are older than the signals that are kept."""
        live = self.settings_of(self.table.of(self.table.live))
        oldest = 0
        for name in (*map(signals, CHANNELS), REPLAY):
            places = self.log.places(live, name)
            for place, low in self.log.ends(places, first=True).items():
                if low:
                    oldest = max(oldest, self._kept_since_ms(live, name, TopicPartition(*place, low)))
        return sum(profile["created_at_ms"] < oldest for profile in self.profiles(live)) if oldest else 0

    def _kept_since_ms(self, live: Settings, name: str, place: TopicPartition) -> int:
        """Return when the first record arrived that a partition still has; of an empty one, all its time is over."""
        for _, value in read(live.kafka, [place]):
            first = live.codecs().of(name).decode(value or b"")
            at_ms: int = first["at_ms"] if name == REPLAY else first["received_at_ms"]
            return at_ms
        return time.time_ns() // 1_000_000 - live.kept_ms()["signals"]

    def report(
        self, known: Known, diff: Diff, *, copied: int, left_out: Mapping[str, int], switch_s: float | None = None
    ) -> Path:
        """Write what came of it to var/reports/rebuild.json; return where that is."""
        place = self._settings.var / "reports" / "rebuild.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "generation": known.name,
            "before": known.before,
            "partitions": known.partitions,
            "copied": copied,
            "left_out": dict(left_out),
            "switch_s": switch_s,
            "customers": diff.report(),
        }
        place.write_text(json.dumps(found, indent=1) + "\n")
        return place

    def drop(self, name: str) -> None:
        """Remove a generation that is not live, with its topics.

        Raises
        ------
        RebuildError
            when it is live, a switch to it or from it is under way, or there is none of that name; when workers do not
            let go of it, or a topic stays
        """
        if name not in self.table.names():
            raise RebuildError(f"there is no generation {name}: there are {', '.join(self.table.names())}")
        if name == self.table.live or self.table.switching:
            raise RebuildError(f"{name} is needed: it is live, or a switch is under way (run `sada rebuild` to end it)")
        gone = self.settings_of(self.table.of(name))
        after = next((each for each in self.table.known if each.before == name and each.name == self.table.live), None)
        if after is not None:
            copier, _ = self.copier(after)
            copier.open()
            self._said(f"{self.carry(copier)} records that came late to the topics of {name} were carried over")
            copier.close()
        self._remove(gone)

    def _remove(self, gone: Settings) -> None:
        """Take a generation off the table, and its topics away once no worker reads them."""
        whole, topics = self.table, [gone.topic(topic.name) for topic in TOPICS.values() if topic.generational]
        self._say(whole.without(gone.generation))
        self._said("waiting until no worker reads it ...")
        try:
            self.log.wait_released(topics)
        except RebuildError:
            self._say(whole)
            raise
        for topic, done in self.log.admin.delete_topics(topics, operation_timeout=30).items():
            try:
                done.result()
            except KafkaException as exc:
                raise RebuildError(f"{topic} was not removed: {exc.args[0].str()}; remove it by hand") from None
        self._said(f"{gone.generation} is gone, with {len(topics)} topics")


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise RebuildError(f"{path} cannot be read: {exc}") from None
