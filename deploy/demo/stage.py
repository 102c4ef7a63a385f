"""The whole demo: peers, stack, shop, evidence, report; and nothing left running on any way out."""

import asyncio
import base64
import contextlib
import json
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from deploy.demo.clients import Clients
from deploy.demo.evidence import gather, goals_in
from deploy.demo.figures import moods
from deploy.demo.gauges import Gauges
from deploy.demo.hooks import CHANNELS, Hooks, hook_server
from deploy.demo.mailbox import mail_server
from deploy.demo.people import DAY_MS, HOUR_MS, populate
from deploy.demo.play import Play
from deploy.demo.plots import all_plots
from deploy.demo.post import Meanings, Post
from deploy.demo.report import page
from deploy.demo.score import Results, score
from deploy.demo.shop import Shop
from deploy.demo.stack import DemoError, await_up, channels_file, fresh, read_up, stack
from deploy.demo.view import DemoView
from deploy.local.keys import load_or_make
from deploy.local.processes import free_port
from deploy.local.up import UpFile
from schemas.identifiers import Hasher

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
PARTITIONS = 4
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
    DemoError, ClientError, ReadError
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
            async with self._running() as (child, up):
                view.say(
                    f"Up after {time.monotonic() - began:.0f} s. "
                    f"{len(self._people):,} customers live {self._options.days} days."
                )
                outcome = await self._play(view, child, up)
                await asyncio.to_thread(self._report, outcome, var)
                self._tell(outcome)
                if self._options.keep:
                    view.say(f"The page: {up.desk}  (API key {up.api_key})\nCtrl-C ends it.")
                    await asyncio.to_thread(child.wait)
                    raise DemoError(f"The stack ended; its log is {var / 'up.log'}.")
        return 1 if outcome.wrong else 0

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[tuple[subprocess.Popen[bytes], UpFile]]:
        """Run peers and stack while the block runs."""
        var = self._options.var
        async with mail_server(self._post.mail) as smtp_port, hook_server(self._hooks) as hooks_port:
            port = free_port()
            channels = channels_file(var, smtp_port=smtp_port, hooks_port=hooks_port, names=CHANNELS)
            environment = {
                "SADA_TICK_S": "0",  # the shop's clock ticks
                # An hour of the shop is 10 ms: company for a signal is worth two of them.
                "SADA_COMMIT_LINGER_MS": "20",
                "SADA_PARTITIONS": str(PARTITIONS),
                "SADA_CATALOGUE": str(CATALOGUE),
                "SADA_CHANNELS": str(channels.resolve()),
                "SADA_PUBLIC_URL": f"http://127.0.0.1:{port}",
                "SADA_DEMO_WEBHOOK_SECRET": self._secret,
                # A demo never writes into a Kafka or Redis of the user's own.
                "SADA_KAFKA": "",
                "SADA_REDIS": "",
                "SADA_TOPIC_PREFIX": "",
            }
            with stack(var, environment, gateway_port=port) as child:
                yield child, await await_up(child, var)

    async def _play(self, view: DemoView, child: subprocess.Popen[bytes], up: UpFile) -> Outcome:
        """Let the time pass, then work out what came of it."""
        view.gauges = Gauges(up.metrics, PARTITIONS)
        clients = Clients(gateway=up.gateway, write_key=up.write_key, kafka=up.kafka, partitions=PARTITIONS)
        shop = Shop(self._people, self._rng)
        began = time.monotonic()
        try:
            play = Play(shop=shop, clients=clients, post=self._post, gauges=view.gauges, child=child, up=up)
            await play.run(self._start_ms, self._end_ms, view.show)
        finally:
            clients.close()
        played_s = time.monotonic() - began
        view.say(f"{clients.sent:,} signals in {played_s:.0f} s. Reading the topics ...")
        evidence = await asyncio.to_thread(gather, up.kafka, self._hasher())
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
