"""The report's plots, each one question answered; drawn by matplotlib as SVG, to stand in a page by itself."""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.demo.evidence import Lesson
from deploy.demo.figures import LEFT, auc_or_none, churn_scores, uplift
from deploy.demo.people import DAY_MS
from deploy.demo.score import Results
from schemas.features import INTENTS

INK, MUTED, GRID = "#1c2733", "#66727f", "#e3e8ec"
# Okabe and Ito 2008: told apart by colour-blind readers too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8a7d00", "#7a4fa3")
# Scores in a window of the AUC over time: its standard error is then some 0.02.
WINDOW = 600
# Bins of calibration, equally filled.
BINS = 8
# An arm with fewer rewards says nothing.
LEAST_REWARDS = 25

mpl.use("svg")
mpl.rcParams.update(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "text.color": INK,
        "legend.frameon": False,
        "svg.hashsalt": "sada",  # the same figures, the same file
    }
)


class Plot(NamedTuple):
    """A plot with the question that it answers, and how to read it."""

    title: str
    text: str
    svg: str


def draw(title: str, text: str, paint: Callable[[Axes], None], *, height: float = 3.1) -> Plot:
    """Return a plot that ``paint`` fills."""
    figure = Figure(figsize=(6.2, height), layout="constrained")
    axes = figure.add_subplot()
    paint(axes)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return Plot(title, text, buffer.getvalue().partition("<svg")[1] + buffer.getvalue().partition("<svg")[2])


def _nothing(axes: Axes, words: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def _legend(axes: Axes, **options: Any) -> None:
    """Explain the colours, where anything was drawn."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**options)


def signals_per_day(results: Results, start_ms: int) -> Plot:
    """Return signals per day by channel."""
    days: dict[str, Counter[int]] = defaultdict(Counter)
    for seen in results.evidence.seen:
        days[seen.channel][(seen.at_ms - start_ms) // DAY_MS] += 1
    last = max((max(each) for each in days.values()), default=0)

    def paint(axes: Axes) -> None:
        names = sorted(days, key=lambda name: -days[name].total())
        x = range(last + 1)
        axes.stackplot(x, [[days[name][day] for day in x] for name in names], labels=names, colors=COLOURS, alpha=0.9)
        axes.set_xlabel("day of the shop")
        axes.set_ylabel("signals")
        _legend(axes, ncols=3, loc="upper right", fontsize=8)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.25)
        axes.margins(x=0)

    return draw("Signals", "What customers did each day, by the channel it came in on.", paint)


def auc_over_time(results: Results, start_ms: int) -> Plot:
    """Return the AUC of churn and intent over time."""
    lessons = results.evidence.lessons
    churn = sorted((e for e in lessons if e.model == "churn" and e.version), key=lambda e: e.scored_at_ms)
    intent = sorted((e for e in lessons if e.model == "intent" and e.version), key=lambda e: e.scored_at_ms)

    def of_churn(window: Sequence[Lesson]) -> float | None:
        return auc_or_none([e.predicted[LEFT] for e in window], [e.label == LEFT for e in window])

    def of_intent(window: Sequence[Lesson]) -> float | None:
        each = [auc_or_none([e.predicted[i] for e in window], [e.label == i for e in window]) for i in INTENTS]
        known = [auc for auc in each if auc is not None]
        return sum(known) / len(known) if known else None

    def paint(axes: Axes) -> None:
        for name, found, rule, colour in (("churn", churn, of_churn, 0), ("intent (mean)", intent, of_intent, 1)):
            size = min(WINDOW, max(60, len(found) // 4))
            points = []
            for end in range(size, len(found) + 1, max(1, size // 3)):
                window = found[end - size : end]
                auc = rule(window)
                if auc is not None:
                    points.append(((window[-1].scored_at_ms - start_ms) / DAY_MS, auc))
            if points:
                axes.plot(*zip(*points, strict=True), color=COLOURS[colour], lw=2, label=name)
        axes.axhline(0.5, color=MUTED, lw=1, ls=":")
        axes.set_ylim(0.4, 1.0)
        axes.set_xlabel("day on which it was predicted")
        axes.set_ylabel("AUC, moving window")
        _legend(axes, loc="lower right")

    text = "Each prediction was made before what it predicts came true: 0.5 is guessing, 1 is knowing."
    return draw("Is it getting better?", text, paint)


def calibration(results: Results) -> Plot:
    """Return predicted against observed churn."""
    scores, left = churn_scores(results.evidence.lessons)

    def paint(axes: Axes) -> None:
        if len(scores) < BINS:
            _nothing(axes, "Too few labels came in this run.")
            return
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":")
        half = len(scores) // 2
        for label, part, colour in (("first half", slice(0, half), 5), ("second half", slice(half, None), 0)):
            order = np.argsort(np.array(scores[part]), kind="stable")
            parts = np.array_split(order, BINS)
            xs = [float(np.mean(np.array(scores[part])[at])) for at in parts if len(at)]
            ys = [float(np.mean(np.array(left[part])[at])) for at in parts if len(at)]
            axes.plot(xs, ys, "o-", color=COLOURS[colour], lw=1.6, ms=4, label=label)
        axes.set_xlabel("probability of churn, as predicted")
        axes.set_ylabel("share that left")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        _legend(axes, loc="upper left")

    return draw("Can its numbers be believed?", "On the dotted line a 30 % risk is really 30 %.", paint)


def _bars(axes: Axes, rows: Sequence[tuple[str, float]], colour: str, label: str, *, form: str = "{:,.0f}") -> None:
    names, counts = [row[0] for row in rows][::-1], [row[1] for row in rows][::-1]
    bars = axes.barh(names, counts, color=colour, height=0.65)
    axes.bar_label(bars, [form.format(count) for count in counts], padding=3, fontsize=8, color=MUTED)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlim(0, max(counts, default=1) * 1.18)


def decisions(results: Results) -> Plot:
    """Return decisions by action."""
    counts = Counter(c.action for c in results.evidence.choices if c.action and not c.hold)

    def paint(axes: Axes) -> None:
        _bars(axes, counts.most_common(), COLOURS[0], "decisions to act")

    return draw("What it did", "Actions sent. Each was the best of what was allowed at that moment.", paint)


def holds(results: Results) -> Plot:
    """Return decisions to hold, by reason."""
    counts = Counter(c.hold for c in results.evidence.choices if c.hold)

    def paint(axes: Axes) -> None:
        _bars(axes, counts.most_common(), COLOURS[6], "decisions to hold")

    return draw("What it left undone, and why", "Doing nothing is a decision too, with a reason on record.", paint)


def uplift_by_action(results: Results) -> Plot:
    """Return treated against control, per action and in all."""
    actions = sorted({each.choice.action for each in results.rewarded})
    rows = [("all", results.uplift)]
    for action in actions:
        own = [each for each in results.rewarded if each.choice.action == action]
        found = uplift(own, seed=len(own))
        if min(found.n_treated, found.n_control) >= LEAST_REWARDS:
            rows.append((f"{action}\n({found.n_treated:,} / {found.n_control:,})", found))

    def paint(axes: Axes) -> None:
        for at, (_, found) in enumerate(rows[::-1]):
            colour = COLOURS[3] if at == len(rows) - 1 else COLOURS[0]
            axes.plot([found.low, found.high], [at, at], color=colour, lw=2.4, solid_capstyle="round")
            axes.plot([found.difference], [at], "o", color=colour, ms=6)
        axes.axvline(0, color=MUTED, lw=1, ls=":")
        axes.set_yticks(range(len(rows)), [name for name, _ in rows[::-1]], fontsize=8, color=INK)
        axes.set_xlabel("goal reached: treated less control, with 95 % interval")
        axes.grid(visible=False, axis="y")

    text = (
        "The control group is decided for in the same way, but nothing is sent. Right of the dotted line the action "
        "worked. In brackets: decisions treated / control."
    )
    return draw("Did it help?", text, paint, height=2.0 + 0.3 * len(rows))


def rewards_by_arm(results: Results) -> Plot:
    """Return the mean reward of each arm: as the bandit believed at the end, and as it was."""
    treated = [each for each in results.rewarded if not each.choice.control]
    late = sorted(treated, key=lambda each: each.choice.at_ms)[len(treated) // 2 :]
    by_arm: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for choice, reward in late:
        by_arm[f"{choice.action} / {choice.treatment}"].append((choice.p, reward))
    rows = [(arm, *np.mean(found, axis=0), len(found)) for arm, found in by_arm.items() if len(found) >= LEAST_REWARDS]
    rows.sort(key=lambda row: row[2])

    def paint(axes: Axes) -> None:
        if not rows:
            _nothing(axes, "Too few rewards came in this run.")
            return
        at = np.arange(len(rows))
        axes.barh(at, [row[2] for row in rows], color=COLOURS[5], height=0.6, label="really reached")
        axes.plot([row[1] for row in rows], at, "D", color=COLOURS[3], ms=5, label="believed")
        axes.set_yticks(at, [row[0] for row in rows], fontsize=8, color=INK)
        axes.set_xlabel("mean reward in the second half")
        axes.grid(visible=False, axis="y")
        _legend(axes, loc="lower right", fontsize=8)

    text = "Per action and treatment: how often its goal was reached, and what the bandit believed before."
    return draw("What works", text, paint, height=1.6 + 0.22 * len(rows))


def propensity(results: Results) -> Plot:
    """Return believed against true rewards, early and late: learning made visible."""
    treated = sorted((e for e in results.rewarded if not e.choice.control), key=lambda e: e.choice.at_ms)
    third = len(treated) // 3

    def paint(axes: Axes) -> None:
        if third < 5 * BINS:
            _nothing(axes, "Too few rewards came in this run.")
            return
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":")
        for label, part, colour in (("first third", treated[:third], 5), ("last third", treated[-third:], 0)):
            p = np.array([each.choice.p for each in part])
            reward = np.array([each.reward for each in part])
            parts = np.array_split(np.argsort(p, kind="stable"), BINS)
            auc = auc_or_none(p.tolist(), [bool(r) for r in reward])
            named = label if auc is None else f"{label} (AUC {auc:.2f})"
            axes.plot([p[at].mean() for at in parts], [reward[at].mean() for at in parts], "o-", ms=4, lw=1.6,
                      color=COLOURS[colour], label=named)  # fmt: skip
        axes.set_xlabel("probability of success, as believed when deciding")
        axes.set_ylabel("share that succeeded")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        _legend(axes, loc="upper left")

    return draw("Does it learn what works?", "What the bandit believed, against what customers then did.", paint)


def moods(true: Sequence[float], seen: Sequence[float]) -> Plot:
    """Return the mood as Sada reads it against the true one."""

    def paint(axes: Axes) -> None:
        if len(true) < 3:
            _nothing(axes, "Hardly anybody said how they felt.")
            return
        axes.scatter(true, seen, s=9, alpha=0.45, color=COLOURS[2], linewidths=0)
        r = float(np.corrcoef(true, seen)[0, 1]) if np.std(true) and np.std(seen) else 0.0
        axes.set_title(f"correlation {r:.2f}", loc="right", fontsize=9, color=MUTED)
        axes.set_xlabel("true mood at the end")
        axes.set_ylabel("mood in the record")

    text = "Customers whose words, answers or calls told something. The truth is known to the simulation alone."
    return draw("Does it hear moods?", text, paint)


def merges(results: Results, start_ms: int) -> Plot:
    """Return merges over time."""
    days = Counter((at_ms - start_ms) // DAY_MS for at_ms in results.evidence.merged_at_ms)

    def paint(axes: Axes) -> None:
        last = max(days, default=0)
        axes.bar(range(last + 1), [days[day] for day in range(last + 1)], color=COLOURS[4], width=0.9)
        axes.set_xlabel("day of the shop")
        axes.set_ylabel("merges")
        axes.margins(x=0.01)

    match = results.matching
    text = (
        f"Two records found to be one person. At the end {match.precision:.1%} of the pairs of identifiers in one "
        f"record belong to one person, and {match.recall:.1%} of each person's pairs are in one record."
    )
    return draw("Who is who", text, paint)


def all_plots(results: Results, true_and_seen: tuple[Sequence[float], Sequence[float]], start_ms: int) -> list[Plot]:
    """Return the report's plots in order."""
    return [
        uplift_by_action(results),
        auc_over_time(results, start_ms),
        rewards_by_arm(results),
        propensity(results),
        calibration(results),
        merges(results, start_ms),
        signals_per_day(results, start_ms),
        moods(*true_and_seen),
        decisions(results),
        holds(results),
    ]
