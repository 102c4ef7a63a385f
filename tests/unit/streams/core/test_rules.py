"""Quality rules on signals: each check, what it does to the signal, and how mistakes in the file are told."""

from typing import Any

import pytest

from models.scorers import ScorerSet
from schemas.document import DocumentError
from schemas.views import Signal
from streams.core.customer import Brain, Effects, observe
from streams.core.errors import SignalError
from streams.core.facet_state import MAX_VIOLATIONS
from streams.core.golden_record import merge
from streams.core.rules import Broken, Rules
from streams.core.rules_check import read_rules
from streams.core.state import Member, Root
from tests.unit.streams.core.making import DAY, T, customer, folded, look, order, service, traits

NODE = b"n" * 16


def _rules(check: str, then: str = "quarantine") -> Rules:
    return read_rules(f"version: 1\nsignals:\n- {{name: the-rule, {check}, then: {then}}}\n", "rules.yaml")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ("field: transaction.items, required: true", order(), order(lines=0)),
        ("field: identifiers.anonymous_id, required: true", look("a"), look("a", identifiers=[])),
        ("field: traits.city, required: true", traits({"city": "x"}), traits({"town": "x"})),
        ("field: transaction.amount_minor, range: [1, 5000]", order(amount=5000), order(amount=5001)),
        ("field: transaction.amount_minor, range: [1, 5000]", look("a"), order(amount=0)),
        ("field: traits.age, range: [0, 120]", traits({"age": "34"}), traits({"age": "old"})),
        ("field: traits.age, range: [0, 120]", traits({"age": "120"}), traits({"age": "nan"})),
        ("field: transaction.currency, one_of: [EUR, USD]", order(), order(currency="XXX")),
        ("newer_than: 1d", look("a", received_at_ms=T + DAY), look("a", received_at_ms=T + DAY + 1)),
        (
            "where: {kind: service, source: shop-web}, field: service.reason, required: true",
            look("a"),
            service("opened"),
        ),
    ],
)
def test_a_check_lets_the_good_pass_and_names_itself_for_the_bad(check: str, good: Signal, bad: Signal) -> None:
    """A quarantined signal raises with the rule's code, is counted, and tells none of the customer's values."""
    rules, broken = _rules(check), list[Broken]()
    rules.admit(good, broken)
    assert broken == []
    with pytest.raises(SignalError) as caught:
        rules.admit(bad, broken)
    assert caught.value.code == "quality-the-rule"
    assert broken == [Broken("the-rule", bad["source"], bad["channel"], "quarantine")]


def test_a_flagged_signal_counts_and_so_does_its_violation() -> None:
    """A flag refuses nothing: the signal is folded unchanged, the record and the batch know of the violation."""
    rules = _rules("field: transaction.amount_minor, range: [1, 5000]", "flag")
    root, effects = Root(NODE, T, {NODE: Member("email", "x", T, "s")}), Effects()
    bad = order(amount=9000)
    rules.admit(bad, effects.broken)
    for signal in (bad, bad, order(T + 1, amount=10)):  # a retry counts once
        observe(root, NODE, signal, T, stream_ms=T, brain=Brain(ScorerSet(), rules=rules), effects=effects)
    record = merge(root, T, rules)
    assert record.value.spent_minor == 9010
    assert record.violations == {"the-rule": 1}
    assert effects.broken == [Broken("the-rule", "shop-web", "web", "flag")]


def test_violations_of_a_facet_are_bounded() -> None:
    """Beyond the bound, rules are counted together and none is lost."""
    text = "version: 1\nsignals:\n" + "".join(
        f"- {{name: r{n}, field: transaction.items, required: true, then: flag}}\n" for n in range(40)
    )
    rules = read_rules(text, "rules.yaml")
    root = Root(NODE, T, {NODE: Member("email", "x", T, "s")})
    observe(root, NODE, order(lines=0), T, stream_ms=T, brain=Brain(ScorerSet(), rules=rules), effects=Effects())
    violations = root.facets[NODE].violations
    assert len(violations) == MAX_VIOLATIONS + 1
    assert sum(violations.values()) == 40


def test_completeness_and_conflict() -> None:
    """Weights say what is missing; sources that differ only in case agree; a field that keeps all has no conflict."""
    rules = Rules(weights={"email": 3, "name|first_name": 1, "city": 2}, fields={"tags": "all"})
    said = [
        traits({"first_name": "Ana", "city": "Lyon", "tags": "a"}, T, source="crm", id="1"),
        traits({"first_name": " ANA", "city": "Nice", "tags": "b"}, T + 1, source="shop", id="2"),
    ]
    record = merge(customer(folded(*said)), T + 2, rules)
    assert record.completeness() == pytest.approx(3 / 6)
    assert record.conflict() == pytest.approx(1 / 2)
    assert merge(customer(folded(*said), kind="email"), T + 2, rules).completeness() == 1.0
    assert merge(customer(folded(look("a"))), T, rules).conflict() == 0.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 2", "r.yaml:1:1: version: must be 1"),
        ("version: 1\nfeilds: {}", "r.yaml:2:1: feilds: 'feilds' is not known here: did you mean fields?"),
        ("version: 1\nfields: {city: oldest}", "fields.city: must be one of newest, trusted, frequent, all"),
        ("version: 1\nsources: [a, a]", "sources[1]: 'a' stands here twice"),
        ("version: 1\ncompleteness: {city: 0}", "completeness.city: must be a weight"),
        ("version: 1\nsignals: [{name: A, newer_than: 1d, then: flag}]", "signals[0].name: must be lower-case"),
        ("version: 1\nsignals: [{name: a, newer_than: 1d, then: fix}]", "must be one of quarantine, flag"),
        ("version: 1\nsignals: [{name: a, then: flag}]", "must hold exactly one of required, range"),
        ("version: 1\nsignals: [{name: a, newer_than: soon, then: flag}]", "is not a duration"),
        (
            "version: 1\nsignals: [{name: a, field: survey.score, range: [2, 1], then: flag}]",
            "signals[0].range: must be two numbers, the lower first",
        ),
        (
            "version: 1\nsignals: [{name: a, where: {kind: order}, newer_than: 1d, then: flag}]",
            "signals[0].where.kind: must be one of behaviour",
        ),
        ("version: 1\nsignals: [{name: a, field: survey.score, one_of: [], then: flag}]", "must be a list"),
        ("- 1", "must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_path(text: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_rules(text, "r.yaml")
    assert problem in str(caught.value)


def test_two_rules_of_one_name_are_refused() -> None:
    rule: Any = "{name: a, newer_than: 1d, then: flag}"
    with pytest.raises(DocumentError, match="stands here twice"):
        read_rules(f"version: 1\nsignals: [{rule}, {rule}]", "r.yaml")
