"""The report: one page that stands by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from deploy.demo.plots import Plot
from deploy.demo.score import Results

_HERE = Path(__file__).parent


def page(
    results: Results, plots: Sequence[Plot], *, people: int, days: int, extra: dict[str, Any], wrong: Sequence[str]
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    extra : played_s, restarts
    wrong : what must not be, as sentences
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE), autoescape=True)
    played = extra["played_s"]
    return environment.get_template("report.html.j2").render(
        people=f"{people:,}",
        days=days,
        minutes=f"{played / 60:.1f} minutes" if played >= 90 else f"{played:.0f} seconds",
        wrong=wrong,
        accepted=f"{results.evidence.accepted:,}",
        folded=f"{results.evidence.folded:,}",
        dead=f"{results.dead:,}",
        restarts=extra["restarts"],
        figures=_figures(results, extra),
        plots=plots,
    )


def _figures(results: Results, extra: dict[str, Any]) -> list[tuple[str, str]]:
    found, lift = results.figures(), results.uplift
    return [
        ("signals", f"{found['signals']:,}"),
        ("signals a second", f"{extra['signals_per_s']:,}"),
        ("customers at the end", f"{found['customers']:,}"),
        ("merges", f"{found['merges']:,}"),
        ("decisions", f"{found['decisions']:,}"),
        ("delivered", f"{found['delivered']:,}"),
        ("outcomes", f"{found['outcomes']:,}"),
        ("AUC of churn", _share(found["auc_churn"])),
        ("AUC of intent", _share(found["auc_intent"])),
        (f"uplift [{lift.low:+.3f}, {lift.high:+.3f}]", f"{lift.difference:+.3f}"),
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
