"""The whole demo: peers, stack, shop, evidence, report; and nothing left running on any way out."""

import asyncio
import base64
import contextlib
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, NoReturn

from rich.console import Console
from rich.table import Table

from deploy.demo.clients import Clients
from deploy.demo.evidence import gather, goals_in
from deploy.demo.figures import moods
from deploy.demo.gauges import Gauges
from deploy.demo.hooks import Hooks, hook_server
from deploy.demo.mailbox import mail_server
from deploy.demo.people import DAY_MS, HOUR_MS, populate
from deploy.demo.play import Play
from deploy.demo.plots import all_plots
from deploy.demo.post import Meanings, Post
from deploy.demo.reader import Reader
from deploy.demo.report import page
from deploy.demo.score import Results, score
from deploy.demo.settings import CATALOGUE, PARTITIONS, codecs, settings
from deploy.demo.shop import Shop
from deploy.demo.view import DemoView
from deploy.local.keys import load_or_make
from deploy.local.processes import StackError
from deploy.local.running import LOG, LOOK_EVERY_S, START_WITHIN_S, Running, fresh, is_up, launched, read_up
from deploy.local.topology import PortClaims
from deploy.local.up import UpFile
from schemas.identifiers import Hasher

# The simulated time ends so long before now: no signal lies in the future.
BEFORE_NOW_MS = 2 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose.

    Parameters
    ----------
    seed : of the shop's truth; the same seed makes the same people
    """

    var: Path
    customers: int
    days: int
    keep: bool
    seed: int = 7


class Outcome(NamedTuple):
    """How a run ended, for table, report and exit code.

    Parameters
    ----------
    played_s : wall time of the simulated time
    restarts : of processes of the stack
    wrong : what must not be, as sentences
    """

    results: Results
    played_s: float
    restarts: int
    wrong: list[str]

    def figures(self) -> dict[str, Any]:
        """Return what demo.json holds: the figures that scripts rely on first."""
        return {
            **self.results.figures(),
            **self.results.more(),
            "played_s": round(self.played_s, 1),
            "signals_per_s": round(self.results.evidence.accepted / self.played_s),
            "restarts": self.restarts,
            "wrong": self.wrong,
        }


def run(options: Options, console: Console) -> int:
    """Run the demo; return the exit code: 0 when nothing was lost or doubled and the stack stayed healthy.

    Raises
    ------
    StackError, ClientError
        when it cannot start or go on
    """
    fresh(options.var)
    return asyncio.run(_Stage(options, console).run())


class _Stage:
    """One run of the demo."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._end_ms = time.time_ns() // 1_000_000 - BEFORE_NOW_MS
        self._start_ms = self._end_ms - options.days * DAY_MS
        self._rng = Random(options.seed)
        self._people = populate(options.customers, self._rng, start_ms=self._start_ms, days=options.days)
        self._post = Post(self._people, Meanings(CATALOGUE))
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._hooks = Hooks(self._secret, self._post.hook)

    async def run(self) -> int:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        var = self._options.var
        with DemoView(self._console, self._start_ms, self._end_ms) as view:
            began = time.monotonic()
            view.say(f"Starting Kafka, Redis and Sada in {var} ...")
            async with self._running() as stack:
                view.say(
                    f"Up after {time.monotonic() - began:.0f} s. "
                    f"{len(self._people):,} customers live {self._options.days} days."
                )
                outcome = await self._play(view, stack)
                await asyncio.to_thread(self._report, outcome, var)
                self._tell(outcome)
                if self._options.keep:
                    view.say(f"The page: {stack.up['desk']}  (API key {stack.up['api_key']})\nCtrl-C ends it.")
                    with contextlib.suppress(asyncio.CancelledError):
                        await self._keep(stack)
                    view.say("Stopping ...")
        return 1 if outcome.wrong else 0

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[Running]:
        """Run peers and stack while the block runs."""
        var = self._options.var.resolve()
        async with mail_server(self._post.mail) as smtp_port, hook_server(self._hooks) as hooks_port:
            with PortClaims() as claims:
                port = claims.any()
                told = settings(var, gateway_port=port, smtp_port=smtp_port, hooks_port=hooks_port, secret=self._secret)
                with launched(var, settings=told, arguments=("--gateway-port", str(port))) as process:
                    deadline = time.monotonic() + START_WITHIN_S
                    while not is_up(process, var, deadline):  # noqa: ASYNC110 - a child process sets no event
                        await asyncio.sleep(LOOK_EVERY_S)
                    yield Running(process, var)

    async def _keep(self, stack: Running) -> NoReturn:
        """Leave it running until Ctrl-C, which cancels."""
        while stack.process.poll() is None:  # noqa: ASYNC110 - a child process sets no event
            await asyncio.sleep(LOOK_EVERY_S)
        raise StackError(f"The stack ended; its log is {stack.var / LOG}.")

    async def _play(self, view: DemoView, stack: Running) -> Outcome:
        """Let the time pass, then work out what came of it."""
        up = stack.up
        view.gauges = Gauges(up["metrics"], PARTITIONS)
        clients = Clients(
            gateway=up["gateway"], write_key=up["write_key"], kafka=stack.kafka, codecs=codecs(), partitions=PARTITIONS
        )
        shop = Shop(self._people, self._rng)
        began = time.monotonic()
        try:
            play = Play(shop=shop, clients=clients, post=self._post, gauges=view.gauges, stack=stack)
            await play.run(self._start_ms, self._end_ms, view.show)
        finally:
            clients.close()
        played_s = time.monotonic() - began
        view.say(f"{clients.sent:,} signals in {played_s:.0f} s. Reading the topics ...")
        reader = Reader(stack.kafka, codecs())
        try:
            evidence = await asyncio.to_thread(gather, reader, self._hasher())
        finally:
            reader.stop()  # by Ctrl-C: the thread would wait for a Kafka that is gone
        results = score(
            evidence, self._people, self._hasher(), goals_in(CATALOGUE), end_ms=self._end_ms, sent=clients.sent
        )
        now = read_up(self._options.var)
        wrong = results.wrong + _unhealthy(now) + self._peers_wrong()
        return Outcome(results, played_s, sum(each.restarts for each in now.processes) if now else 0, wrong)

    def _hasher(self) -> Hasher:
        return Hasher(bytes.fromhex(load_or_make(self._options.var / "secrets.json").node_key))

    def _peers_wrong(self) -> list[str]:
        found = []
        if self._hooks.refused:
            found.append(f"{self._hooks.refused} webhooks had no valid signature.")
        if self._post.repeats:
            found.append(f"{self._post.repeats} messages reached a customer twice.")
        if self._post.strays:
            found.append(f"{self._post.strays} messages reached nobody of the shop.")
        return found

    def _report(self, outcome: Outcome, var: Path) -> None:
        reports = var.parent / "reports"
        reports.mkdir(parents=True, exist_ok=True)
        (reports / "demo.json").write_text(json.dumps(outcome.figures(), indent=2) + "\n")
        true_and_seen = moods(self._people, outcome.results.evidence, self._hasher())
        plots = all_plots(outcome.results, true_and_seen, self._start_ms)
        content = page(
            outcome.results,
            plots,
            people=len(self._people),
            days=self._options.days,
            extra=outcome.figures(),
            wrong=outcome.wrong,
        )
        (var / "report.html").write_text(content)

    def _tell(self, outcome: Outcome) -> None:
        results, lift = outcome.results, outcome.results.uplift
        table = Table("figure", "", title="A living shop", title_justify="left")
        table.columns[1].justify = "right"
        for name, value in results.figures().items():
            words = "–" if value is None else f"{value:+.3f}" if "uplift" in name else _words(value)
            table.add_row(name.replace("_", " "), words)
        table.add_row("goals reached, treated / control", f"{lift.treated:.3f} / {lift.control:.3f}")
        table.add_row("matching, precision / recall", "{:.3f} / {:.3f}".format(*results.matching))
        table.add_row("signals a second", f"{results.evidence.accepted / outcome.played_s:,.0f}")
        self._console.print(table)
        self._console.print(
            f"{results.evidence.accepted:,} accepted = {results.evidence.folded:,} folded "
            f"+ {results.dead:,} dead letters{'' if results.lost else ': nothing lost, nothing twice'}."
        )
        for sentence in outcome.wrong:
            self._console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
        self._console.print(f"The report: {(self._options.var / 'report.html').resolve()}", soft_wrap=True)


def _words(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _unhealthy(up: UpFile | None) -> list[str]:
    if up is None:
        return ["The stack is not up any more."]
    return [f"{each.name} is {each.state}." for each in up.processes if each.state != "ready"]
