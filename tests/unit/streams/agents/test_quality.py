"""Quality rules at the agent: what is quarantined touches nobody, what is flagged is counted where it came in."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from models.scorers import ScorerSet
from schemas import topics
from schemas.codecs import Codecs
from schemas.identifiers import Hasher
from schemas.identity_rules import IdentityRules
from streams.agents.customers import Customers
from streams.agents.naming import Namer
from streams.agents.outgoing import Wire
from streams.agents.routing import Owner
from streams.agents.tally import MAX_SOURCES, Tally
from streams.core.customer import Brain, Effects
from streams.core.rules import Broken
from streams.core.rules_check import read_rules
from streams.core.state import NodeRecord, Root
from streams.lane.job import Batch, Record, Result
from tests.unit.streams.core.making import DAY, T, look, order

RULES = read_rules(
    """
version: 1
signals:
  - {name: known-currency, field: transaction.currency, one_of: [EUR], then: quarantine}
  - {name: has-items, field: transaction.items, required: true, then: flag}
""",
    "rules.yaml",
)
WIRE = Wire(Codecs(lambda name: name))


@pytest.fixture
def agent() -> Customers:
    brain = Brain(ScorerSet(), rules=RULES)
    return Customers(
        wire=WIRE,
        namer=Namer(Hasher(b"k" * 32), IdentityRules()),
        owner=Owner(1),
        brain=lambda: brain,
        tally=Tally(),
    )


def _run(agent: Customers, *signals: Any) -> Result[NodeRecord]:
    records = [
        Record("signals.web", 0, at, T + DAY, None, WIRE.codec("signals.web").encode(signal))
        for at, signal in enumerate(signals)
    ]
    return agent({}, Batch(0, records, [], 0))


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_quarantined_signal_is_a_dead_letter_and_touches_no_customer(agent: Customers) -> None:
    """Its code names the rule, nobody comes to be by it, and the next signal goes on."""
    labels = {"rule": "known-currency", "source": "shop-web", "channel": "web", "then": "quarantine"}
    before = _counted("sada_quality_violations_total", **labels)
    result = _run(agent, order(currency="XXX"))
    assert [failure.code for failure in result.failures] == ["quality-known-currency"]
    assert not result.changes
    assert [output.topic for output in result.outputs] == []
    assert _counted("sada_quality_violations_total", **labels) == before + 1
    result = _run(agent, order(currency="XXX"), look("a", T + 1))
    assert len(result.failures) == len(result.changes) == 1


def test_a_flagged_signal_is_taken_and_its_profile_says_so(agent: Customers) -> None:
    """It counts as any other; the profile and the metrics count the violation."""
    labels = {"rule": "has-items", "source": "shop-web", "channel": "web", "then": "flag"}
    before = _counted("sada_quality_violations_total", **labels)
    sampled = _counted("sada_record_completeness_count")
    result = _run(agent, order(lines=0), order(T + 1))
    (root,) = result.changes.values()
    assert isinstance(root, Root)
    assert not result.failures
    assert _counted("sada_quality_violations_total", **labels) == before + 1
    assert _counted("sada_record_completeness_count") == sampled + 1
    (profile,) = [
        WIRE.codec(topics.PROFILES).decode(output.value)
        for output in result.outputs
        if output.topic == topics.PROFILES and output.value is not None
    ]
    assert profile["quality"]["violations"] == {"has-items": 1}
    assert profile["history"]["windows"]["orders"]["days_1"] == 2


def test_what_comes_later_than_all_windows_is_counted(agent: Customers) -> None:
    """A lifetime count has it, no window, and the metric says how many there are."""
    before = _counted("sada_signals_too_late_total")
    _run(agent, look("a", T), look("b", T - 92 * DAY))
    assert _counted("sada_signals_too_late_total") == before + 1


def _many_sources() -> Iterator[Broken]:
    for n in range(MAX_SOURCES + 50):
        yield Broken("a-rule", f"hostile {n}", "web", "flag")


def test_sources_that_name_themselves_do_not_fill_prometheus() -> None:
    """Beyond the bound they are counted together, and none is lost."""
    Tally().batch(Effects(broken=list(_many_sources())), [], {}, [])
    found = [
        sample
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "sada_quality_violations_total" and sample.labels["rule"] == "a-rule"
    ]
    assert len(found) == MAX_SOURCES + 1
    assert _counted("sada_quality_violations_total", rule="a-rule", source="other", channel="web", then="flag") == 50
