"""Around the run: the metrics, the view, the report."""

import contextlib
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from rich.console import Console

from deploy.demo.evidence import Choice, Evidence, Lesson, Seen
from deploy.demo.figures import Uplift
from deploy.demo.gauges import Gauges, samples
from deploy.demo.people import DAY_MS
from deploy.demo.play import Moment
from deploy.demo.plots import all_plots
from deploy.demo.report import page
from deploy.demo.score import Results, score
from deploy.demo.view import DemoView
from schemas.identifiers import Hasher


def test_samples_are_read_as_prometheus_writes_them() -> None:
    text = '# HELP x\nsada_signals_total 7.0\nsada_x_total{a="b",c="d"} 1e3\npython_info{} 1\n'
    assert list(samples(text)) == [("sada_signals_total", {}, 7.0), ("sada_x_total", {"a": "b", "c": "d"}, 1000.0)]


@contextlib.asynccontextmanager
async def exhibit(pages: list[str]) -> AsyncIterator[str]:
    """Serve the last of some pages of metrics; give its URL."""

    async def serve(_: web.Request) -> web.Response:
        return web.Response(text=pages[-1])

    app = web.Application()
    app.router.add_get("/metrics", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    await runner.cleanup()


def stream(partition: int, at_s: int) -> str:
    return f'sada_lane_stream_time_seconds{{partition="{partition}",stage="customers"}} {at_s}\n'


async def test_a_killed_process_begins_anew_and_its_counts_are_kept() -> None:
    pages = ['sada_signals_total 10\nkafka_consumergroup_lag{topic="t"} 4\n' + stream(0, 5)]
    async with aiohttp.ClientSession() as session:
        async with exhibit(pages) as url:
            gauges = Gauges([url], partitions=2)
            await gauges.refresh(session)
            assert (gauges.total("sada_signals_total"), gauges.lag(), gauges.reached_ms()) == (10, 4, 0)
            pages.append("sada_signals_total 3\n" + stream(0, 9) + stream(1, 7))
            await gauges.refresh(session, workers_only=True)
            assert (gauges.total("sada_signals_total"), gauges.lag(), gauges.reached_ms()) == (13, 0, 7_000)
        await gauges.refresh(session)
        assert gauges.reached_ms() == 0
        assert gauges.away == {url}


async def test_a_model_that_moved_between_workers_is_the_one_that_learned_most() -> None:
    """Added up, two workers' AUC was 1.484."""
    left = ['sada_model_auc{model="churn"} 0.702\nsada_model_examples{model="churn"} 900\n']
    took = ['sada_model_auc{model="churn"} 0.782\nsada_model_examples{model="churn"} 950\n']
    async with aiohttp.ClientSession() as session, exhibit(left) as one, exhibit(took) as two:
        for order in ([one, two], [two, one]):
            gauges = Gauges(order, partitions=2)
            await gauges.refresh(session)
            assert gauges.latest("sada_model_auc", "churn") == 0.782
            assert gauges.latest("sada_model_auc", "intent") is None


@pytest.mark.parametrize("terminal", [True, False])
async def test_the_view_shows_what_happens(*, terminal: bool) -> None:
    pages = [
        """sada_signals_total 1234
sada_customers_created_total 30
sada_identity_events_total{event="merged"} 10
sada_decisions_total{action="win-back",hold="",trigger="x"} 5
sada_decisions_total{action="",hold="no-consent",trigger="x"} 7
sada_deliveries_total{channel="email",event="delivered"} 4
sada_rewards_total{action="a",group="treated"} 30
sada_rewards_settled_total{action="a",group="treated"} 100
sada_rewards_total{action="a",group="control"} 20
sada_rewards_settled_total{action="a",group="control"} 100
sada_model_auc{model="churn"} 0.812
"""
    ]
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, height=40)
    async with aiohttp.ClientSession() as session, exhibit(pages) as url:
        with DemoView(console, 0, 100 * DAY_MS) as view:
            view.gauges = Gauges([url], partitions=2)
            await view.gauges.refresh(session)
            view.show(Moment(50 * DAY_MS))
    shown = out.getvalue()
    words = ["1,234", "20 Feb 1970", "0.812", "+0.100", *(["win-back", "no-consent", "email delivered"] * terminal)]
    assert [word for word in words if word not in shown] == []


def results() -> Results:
    evidence = Evidence(accepted=3, folded=3, moods={b"a": 0.5})
    evidence.seen = [Seen(b"a", 10_000 * day, "web", frozenset({"order"})) for day in range(40)]
    evidence.choices = [
        Choice(b"a", at, "<offer>", "t", "email", "" if at % 3 else "control-group", at % 3 == 0, at / 200, str(at))
        for at in range(200)
    ]
    evidence.lessons = [
        Lesson("churn", "", str(at % 2), 0.0, {"1": at / 300}, version=1, scored_at_ms=at) for at in range(300)
    ]
    return score(evidence, [], Hasher(b"k" * 32), {}, end_ms=1_000, sent=3)


@pytest.mark.parametrize("found", [results(), score(Evidence(), [], Hasher(b"k" * 32), {}, end_ms=1, sent=0)])
def test_the_report_stands_by_itself_and_escapes(found: Results) -> None:
    plots = all_plots(found, ([0.1, 0.2, 0.3], [0.1, 0.2, 0.4]), 0)
    extra = {"played_s": 100.0, "restarts": 1, "signals_per_s": 7}
    content = page(found, plots, people=3, days=2, extra=extra, wrong=["<b>lost</b>"])
    assert content.count("<svg") == len(plots) == 10
    assert "&lt;b&gt;lost" in content
    assert 'src="http' not in content
    assert "<offer>" not in content


def test_an_uplift_without_both_groups_claims_nothing() -> None:
    empty = score(Evidence(), [], Hasher(b"k" * 32), {}, end_ms=1, sent=0)
    assert empty.uplift == Uplift(0.0, -1.0, 1.0, 0.0, 0.0, 0, 0)
    assert empty.figures()["auc_churn"] is None
