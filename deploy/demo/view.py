"""What the demo shows while it runs: a live table in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table

from deploy.demo.gauges import Gauges
from deploy.demo.play import Moment
from deploy.local.view import LiveView

# A line in a log so often, seconds.
LINE_EVERY_S = 5.0
# Longest lists of reasons and actions shown.
MOST_ROWS = 6


class DemoView(LiveView):
    """The run in a terminal or in a log.

    Parameters
    ----------
    console : where to
    start_ms, end_ms : the simulated time
    """

    def __init__(self, console: Console, start_ms: int, end_ms: int) -> None:
        super().__init__(console)
        self._start_ms, self._end_ms = start_ms, end_ms
        self._said_s = 0.0
        self._rate = (time.monotonic(), 0.0, 0.0)
        self.gauges: Gauges | None = None

    def show(self, moment: Moment) -> None:
        """Show where the run is."""
        gauges = self.gauges
        if gauges is None or self.draw(lambda: self._picture(moment, gauges)):
            return
        if time.monotonic() - self._said_s > LINE_EVERY_S:
            self._said_s = time.monotonic()
            self.say(self._line(moment, gauges))

    def _signals_per_s(self, gauges: Gauges) -> tuple[float, float]:
        total = gauges.total("sada_signals_total")
        then, before, rate = self._rate
        passed = time.monotonic() - then
        if passed >= 1.0:
            rate = max(0.0, total - before) / passed
            self._rate = (time.monotonic(), total, rate)
        return total, self._rate[2]

    def _line(self, moment: Moment, gauges: Gauges) -> str:
        total, rate = self._signals_per_s(gauges)
        events = gauges.by("sada_identity_events_total", "event")
        sent = gauges.total("sada_actions_total")
        return (
            f"{_day(moment.at_ms)}  {total:,.0f} signals ({rate:,.0f}/s)  {_customers(gauges):,.0f} customers  "
            f"{events['merged',]:,.0f} merges  {gauges.total('sada_decisions_total'):,.0f} decisions  "
            f"{sent:,.0f} actions  {_delivered(gauges):,.0f} delivered  AUC churn {_auc(gauges, 'churn')}  "
            f"uplift {_uplift(gauges)}"
        )

    def _picture(self, moment: Moment, gauges: Gauges) -> Group:
        total, rate = self._signals_per_s(gauges)
        events = gauges.by("sada_identity_events_total", "event")
        main = Table.grid(padding=(0, 2))
        for left, right in (
            ("Shop's date", _day(moment.at_ms)),
            ("Signals", f"{total:,.0f}  ({rate:,.0f}/s)"),
            ("Customers", f"{_customers(gauges):,.0f}"),
            ("Merges", f"{events['merged',]:,.0f}  (refused {events['refused',]:,.0f})"),
            ("Decisions", f"{gauges.total('sada_decisions_total'):,.0f}"),
            ("Actions", f"{gauges.total('sada_actions_total'):,.0f}"),
            ("Outcomes", f"{gauges.total('sada_rewards_settled_total'):,.0f} goals settled"),
            ("Churn AUC", _auc(gauges, "churn")),
            ("Intent accuracy", _gauge(gauges, "sada_model_accuracy", "intent")),
            ("Bandit AUC", _auc(gauges, "propensity")),
            ("Uplift", _uplift(gauges)),
        ):
            main.add_row(left, right)
        chosen = gauges.by("sada_decisions_total", "action", "hold")
        acted = [(action, n) for (action, hold), n in chosen.items() if action and not hold]
        held = [(hold, n) for (_, hold), n in gauges.by("sada_decisions_total", "action", "hold").items() if hold]
        done = [(f"{c} {e}", n) for (c, e), n in gauges.by("sada_deliveries_total", "channel", "event").items()]
        side = Table.grid(padding=(0, 3))
        side.add_row(main, _top("Chosen", acted), _top("Held", _summed(held)), _top("Delivered", done))
        bar = ProgressBar(total=self._end_ms - self._start_ms, completed=moment.at_ms - self._start_ms, width=80)
        return Group(side, bar)


def _summed(rows: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    found: dict[str, float] = {}
    for name, count in rows:
        found[name] = found.get(name, 0.0) + count
    return list(found.items())


def _top(title: str, rows: Sequence[tuple[str, float]]) -> Table:
    table = Table(title, "", box=None, padding=(0, 1))
    for name, count in sorted(rows, key=lambda row: -row[1])[:MOST_ROWS]:
        table.add_row(name, f"{count:,.0f}")
    return table


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %b %Y")


def _customers(gauges: Gauges) -> float:
    merged = gauges.by("sada_identity_events_total", "event")["merged",]
    return gauges.total("sada_customers_created_total") - merged


def _delivered(gauges: Gauges) -> float:
    return gauges.by("sada_deliveries_total", "event")["delivered",]


def _auc(gauges: Gauges, model: str) -> str:
    return _gauge(gauges, "sada_model_auc", model)


def _gauge(gauges: Gauges, name: str, model: str) -> str:
    found = gauges.latest(name, model)
    return "–" if found is None else f"{found:.3f}"


def _uplift(gauges: Gauges) -> str:
    """Return the live uplift with a 95 % interval that takes decisions for independent; the report's does not."""
    won, n = gauges.by("sada_rewards_total", "group"), gauges.by("sada_rewards_settled_total", "group")
    if not n["treated",] or not n["control",]:
        return "–"
    treated, control = won["treated",] / n["treated",], won["control",] / n["control",]
    variance = treated * (1 - treated) / n["treated",] + control * (1 - control) / n["control",]
    half = 1.96 * max(0.0, variance) ** 0.5
    return f"{treated - control:+.3f} ± {half:.3f}"
