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

from rich.console import Console
from rich.table import Table

from deploy.demo.clients import Clients
from deploy.demo.evidence import gather, goals_in
from deploy.demo.gauges import Gauges
from deploy.demo.hooks import CHANNELS, Hooks, hook_server
from deploy.demo.mailbox import mail_server
from deploy.demo.people import DAY_MS, HOUR_MS, Person, populate
from deploy.demo.play import Play
from deploy.demo.post import Meanings, Post
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


def run(options: Options, console: Console) -> int:
    """Run the demo; return the exit code: 0 when nothing was lost or doubled and the stack stayed healthy.

    Raises
    ------
    DemoError, ClientError, ReadError
        when it cannot start or go on
    """
    fresh(options.var)
    return asyncio.run(_run(options, console))


async def _run(options: Options, console: Console) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    end_ms = time.time_ns() // 1_000_000 - BEFORE_NOW_MS
    start_ms = end_ms - options.days * DAY_MS
    rng = Random(options.seed)
    people = populate(options.customers, rng, start_ms=start_ms, days=options.days)
    post = Post(people, Meanings(CATALOGUE))
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    hooks = Hooks(secret, post.hook)
    with DemoView(console, start_ms, end_ms) as view:
        began = time.monotonic()
        view.say(f"Starting Kafka, Redis and Sada in {options.var} ...")
        async with _running(options, post, hooks, secret) as (child, up):
            view.say(f"Up after {time.monotonic() - began:.0f} s. {len(people):,} customers live {options.days} days.")
            hasher = Hasher(bytes.fromhex(load_or_make(options.var / "secrets.json").node_key))
            played = time.monotonic()
            sent = await _play(Shop(people, rng), post, up, child, view, start_ms, end_ms)
            played_s = time.monotonic() - played
            evidence = await asyncio.to_thread(gather, up.kafka, hasher)
            results = score(evidence, people, hasher, goals_in(CATALOGUE), end_ms=end_ms, sent=sent)
            wrong = results.wrong + _unhealthy(options.var) + _peers_wrong(post, hooks)
            extra = {"played_s": round(played_s, 1), "signals_per_s": round(evidence.accepted / played_s)}
            extra["restarts"] = sum(process.restarts for process in _processes(options.var))
            await asyncio.to_thread(_report, options, results, people, hasher, extra, wrong, start_ms, end_ms)
            _tell(console, results, extra, wrong, options)
            if options.keep:
                view.say(f"The page: {up.desk}  (API key {up.api_key})\nCtrl-C ends it.")
                await _until_stopped(child)
    return 1 if wrong else 0


@contextlib.asynccontextmanager
async def _running(
    options: Options, post: Post, hooks: Hooks, secret: str
) -> AsyncIterator[tuple[subprocess.Popen[bytes], UpFile]]:
    """Run peers and stack while the block runs."""
    async with mail_server(post.mail) as smtp_port, hook_server(hooks) as hooks_port:
        port = free_port()
        channels = channels_file(options.var, smtp_port=smtp_port, hooks_port=hooks_port, names=CHANNELS)
        environment = {
            "SADA_TICK_S": "0",  # the shop's clock ticks
            "SADA_PARTITIONS": str(PARTITIONS),
            "SADA_CATALOGUE": str(CATALOGUE),
            "SADA_CHANNELS": str(channels.resolve()),
            "SADA_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SADA_DEMO_WEBHOOK_SECRET": secret,
        }
        with stack(options.var, environment, gateway_port=port) as child:
            yield child, await await_up(child, options.var)


async def _play(
    shop: Shop,
    post: Post,
    up: UpFile,
    child: subprocess.Popen[bytes],
    view: DemoView,
    start_ms: int,
    end_ms: int,
) -> int:
    """Let the time pass; return how many signals the clients handed over."""
    gauges = view.gauges = Gauges(up.metrics, PARTITIONS)
    clients = Clients(gateway=up.gateway, write_key=up.write_key, kafka=up.kafka, partitions=PARTITIONS)
    try:
        play = Play(
            shop=shop,
            clients=clients,
            post=post,
            gauges=gauges,
            child=child,
            gateway=up.gateway,
            kafka=up.kafka,
            worker_pages=up.metrics,
            show=view.show,
        )
        await play.run(start_ms, end_ms)
    finally:
        clients.close()
    return clients.sent


def _processes(var: Path) -> list:
    up = read_up(var)
    return [] if up is None else up.processes


def _unhealthy(var: Path) -> list[str]:
    processes = _processes(var)
    if not processes:
        return ["The stack is not up any more."]
    return [f"{each.name} is {each.state}." for each in processes if each.state != "ready"]


def _peers_wrong(post: Post, hooks: Hooks) -> list[str]:
    found = []
    if hooks.refused:
        found.append(f"{hooks.refused} webhooks had no valid signature.")
    if post.repeats or hooks.repeats:
        found.append(f"{post.repeats + hooks.repeats} messages reached a customer twice.")
    if post.strays:
        found.append(f"{post.strays} messages reached nobody of the shop.")
    return found


def _report(
    options: Options,
    results: Results,
    people: list[Person],
    hasher: Hasher,
    extra: dict,
    wrong: list[str],
    start_ms: int,
    end_ms: int,
) -> None:
    reports = options.var.parent / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    content = {**results.figures(), **results.more(), **extra, "wrong": wrong}
    (reports / "demo.json").write_text(json.dumps(content, indent=2) + "\n")


def _tell(console: Console, results: Results, extra: dict, wrong: list[str], options: Options) -> None:
    table = Table("figure", "value", title="The demo", title_justify="left")
    for name, value in {**results.figures(), **extra}.items():
        table.add_row(name, "–" if value is None else f"{value:,.3f}" if isinstance(value, float) else f"{value:,}")
    console.print(table)
    for sentence in wrong:
        console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


async def _until_stopped(child: subprocess.Popen[bytes]) -> None:
    while child.poll() is None:
        await asyncio.sleep(0.5)
    raise DemoError("The stack ended; its log is up.log in the demo's folder.")
