"""identity.yaml: the example holds, and what is wrong is named with its line."""

import re
from pathlib import Path

import pytest

from schemas.document import DocumentError
from schemas.identifiers import IdentifierError
from schemas.identity_file import read_rules
from schemas.identity_rules import DAY_MS, Bound, IdentityRules, NearRules

EXAMPLE = Path(__file__).parents[3] / "deploy" / "identity.example.yaml"


def test_the_example_is_as_it_says() -> None:
    """What it leaves alone is the default; what it changes is changed."""
    rules = read_rules(EXAMPLE.read_text(), str(EXAMPLE))
    plain = IdentityRules()
    assert rules.priority[:3] == ("user_id", "crm_id", "national_id")
    assert dict(rules.limits) == {**plain.limits, "national_id": 1}
    assert (rules.suspension, rules.known) == (plain.suspension, plain.known | {"national_id"})
    assert rules.forms.email == plain.forms.email
    assert rules.normalise("phone", "09123456789").value == "+989123456789"
    assert rules.normalise("national_id", "۱۲-۳").value == "123"
    assert not rules.may_link("email", "user_id", "tills")
    assert rules.may_link("email", "user_id", "web")
    assert [rules.trust(name).rank for name in ("crm", "tills", "web")] == [10, 200, 100]
    with pytest.raises(IdentifierError, match="names nobody"):
        rules.normalise("email", "Any@Shop.example")


def test_little_is_enough() -> None:
    """The version alone gives the defaults; a bound may be lifted or set."""
    assert read_rules("version: 1").limits == IdentityRules().limits
    rules = read_rules("version: 1\nkinds:\n  email: {limit: none, suspend: {above: 3, within: 1d}, link: false}")
    assert "email" not in rules.limits
    assert rules.suspends("email") == Bound(3, DAY_MS)
    assert not rules.may_link("user_id", "email", "web")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2", "1:1: version: must be 1"),
        ("version: 1\nregoin: IR", "2:1: regoin: is not known here: did you mean 'region'?"),
        ("version: 1\nregion: Iran", "2:1: region: 'Iran' is no ISO 3166 region"),
        ("version: 1\nkinds:\n  email: {limit: 0}", "kinds.email.limit: must be a whole number from 1"),
        ("version: 1\nkinds:\n  email: {suspend: {above: 3}}", "'within' is missing"),
        ("version: 1\nkinds:\n  shoe: {known: true}", "3:3: kinds.shoe: 'normalise' is missing"),
        ("version: 1\nkinds:\n  shoe: {normalise: id}", "must be 'after' or 'before' and one of user_id"),
        ("version: 1\nblocked: {phone: [0000]}", "blocked.phone[0]: must be a text"),
        ("version: 1\nblocked: {email: ['*']}", "must hold more than * and ?"),
        ("version: 1\nsources: {pos: {link: maybe}}", "sources.pos.link: must be true or false"),
        ("[]", "is not a mapping"),
    ],
)
def test_a_problem_names_its_place(text: str, said: str) -> None:
    """Line, path, what is wrong and what to do."""
    with pytest.raises(DocumentError) as caught:
        read_rules(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("told", "near"),
    [
        ("", None),
        ("near: off", None),
        ("near: {}", NearRules(0.5, None)),
        ("near: {review: 0.8}", NearRules(0.8, None)),
        ("near: {review: 0.6, automatic: 0.99}", NearRules(0.6, 0.99)),
        ("near: {automatic: off}", NearRules(0.5, None)),
    ],
)
def test_near_matches_are_a_choice(told: str, near: NearRules | None) -> None:
    """Nobody looks without the part, and nobody is linked without a word on it."""
    assert read_rules(f"version: 1\n{told}").near == near


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("near: {review: 1}", "near.review: must be a probability"),
        ("near: {review: yes please}", "near.review: must be a probability"),
        ("near: {automatic: 0}", "near.automatic: must be a probability"),
        ("near: {automatic: true}", "near.automatic: must be a probability"),
        ("near: {review: 0.8, automatic: 0.7}", "near.automatic: is below review, 0.8"),
        ("near: {revue: 0.8}", "did you mean 'review'?"),
        ("near: 0.5", "near: is not a mapping"),
    ],
)
def test_what_near_matches_are_not(told: str, said: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(said)):
        read_rules(f"version: 1\n{told}")
