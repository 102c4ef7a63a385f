"""Every rule of relations, household caps and near matches, broken once: which property notices each.

As ``identity_mutants``. A property is an example of the tests beside this file, or the worlds of its part.
"""

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import pytest

from streams.agents import customers, near
from streams.core import absorb, customer, erasure, identity, split
from streams.core.links import Message, Step
from streams.core.near import carding, likeness, pairs
from streams.core.near.messages import Holds
from streams.core.relations import declared, group, places, related
from streams.core.relations.messages import Release
from streams.core.state import Group
from streams.core.turn import ProtocolError
from tests.property import identity_mutants, test_relations
from tests.property import test_household_caps as caps
from tests.property import test_near_matches as matches
from tests.property.identity_mutants import Mutation
from tests.property.relations_world import at
from tests.unit.streams.core.relations import test_group

Property = Callable[[], None]

MODULES = (
    absorb, carding, customer, customers, declared, erasure, group, identity, likeness, near, pairs, places, related,
    split,
)  # fmt: skip
# All are found in the first few hundred.
WORLDS = 300


class Broken(NamedTuple):
    """A rule broken, and the property that must notice."""

    mutate: Mutation
    noticed_by: Property


replaced = partial(identity_mutants.replaced, parts=MODULES)


def constant(module: object, name: str, value: object) -> Mutation:
    """Return a mutation of a constant."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, value)


def nothing(result: object = None) -> Callable[[Any], Any]:
    """Return what makes a function do nothing."""
    return lambda _: lambda *args, **kwargs: result


def before(edit: Callable[..., tuple[Any, ...]]) -> Callable[[Any], Any]:
    """Return what makes a function see other arguments."""
    return lambda original: lambda *args: original(*edit(*args))


def after(edit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes a function return something else."""
    return lambda original: lambda *args, **kwargs: edit(original(*args, **kwargs))


# ── worlds ────────────────────────────────────────────────────────────────────────────────────────────────────────


def groups() -> None:
    """Play random signals, merges, splits and erasures; the groups must hold whom the traits say."""
    play = test_relations.test_groups_hold_those_whose_traits_say_so.hypothesis.inner_test  # type: ignore[attr-defined]
    kinds, homes = ("user_id", "loyalty_id", "device_id"), ("Karimi", "كريمي", "Doe")
    for number in range(WORLDS):
        rnd = random.Random(number)
        people = [(rnd.choice(kinds), f"x{rnd.randrange(5)}") for _ in range(60)]
        others = ({"referrer": "x0"}, {"referrer": "x1"}, {"company": "Acme"}, {"company": "ACME "}, {"vip": "no"})
        signals = []
        for _ in range(rnd.randint(4, 14)):
            traits = declared_at(rnd, homes) if rnd.random() < 0.5 else rnd.choice(others)
            signals.append((sorted(set(rnd.sample(people, rnd.randint(1, 2)))), traits))
        rulings = [
            (rnd.choice(("cut", "split", "merge", "erase")), *rnd.sample(people, 2), rnd.randrange(len(signals)))
            for _ in range(rnd.randint(0, 4))
        ]
        play(signals, rulings, rnd.randint(1, 4), rnd, rnd.choice((2, 32)))


def declared_at(rnd: random.Random, surnames: tuple[str, ...]) -> dict[str, str]:
    """Return the traits of somebody who lives somewhere."""
    return at(rnd.choice(surnames), rnd.choice("AB"))


def one_a_week() -> None:
    """Play random visits, merges and splits; a household gets one offer a week."""
    play = caps.test_a_household_gets_one_offer_a_week.hypothesis.inner_test  # type: ignore[attr-defined]
    for number in range(WORLDS):
        rnd = random.Random(number)
        looks = [(rnd.choice(caps.PEOPLE), rnd.randrange(20 * 24)) for _ in range(rnd.randint(5, 15))]
        rulings = [(rnd.choice(("merge", "split")), *rnd.sample(caps.PEOPLE, 2)) for _ in range(rnd.randint(0, 3))]
        play(looks, rulings, rnd.randint(1, 4), rnd)


def one_question() -> None:
    """Play one person written in two ways, in random batches."""
    play = matches.test_two_spellings_of_one_person_are_one_question.hypothesis.inner_test  # type: ignore[attr-defined]
    for number in range(10):
        play(1 + number % 5, random.Random(number), 1 + number % 7)


def held_once() -> None:
    """Play two who are alike and find each other from either side."""
    cluster, _, _ = matches._two()
    for number, name in enumerate((matches.ONE, matches.OTHER, matches.ONE), 3):
        cluster.state(number, name, matches.SARA | {"phone": f"555123456{number}"})
        cluster.settle(random.Random(number))
    assert len(matches.held(cluster)) == 1


def can_be_cut() -> None:
    """Play a cut of a link that was made by itself."""
    matches.test_automatic_links_can_be_cut_and_stay_cut(4)


def answers_teach() -> None:
    """Play an operator's answer."""
    matches.test_answers_teach_every_partition(3)


def erased_leave_nothing() -> None:
    """Play an erasure of each of two who are alike."""
    for name in (matches.ONE, matches.OTHER):
        matches.test_who_is_erased_leaves_nothing(name)


def erased_at_any_moment() -> None:
    """Play an erasure of either of two who are alike, in random batches."""
    play = matches.test_who_is_erased_at_any_moment_is_asked_about_no_more.hypothesis.inner_test  # type: ignore[attr-defined]
    for number in range(40):
        play(1 + number % 3, number % 2 == 0, random.Random(number))


# ── relations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _belongs(verb: str, edit: Callable[[Any], Any] | None) -> Mutation:
    """Return a mutation of what a group does at a verb: with another message, or nothing."""

    def make(original: Callable[..., Step]) -> Callable[..., Step]:
        def changed(at: Group, here: bytes, belong: Any) -> Step:
            if belong.verb != verb:
                return original(at, here, belong)
            return Step(at, changed=False) if edit is None else original(at, here, edit(belong))

        return changed

    return replaced(group, "_belong", make)


def _tells(edit: Callable[[Group, tuple[Message, ...]], Iterable[Message]]) -> Mutation:
    """Return a mutation of whom a group tells."""
    return replaced(group, "_tell", lambda original: lambda at, here: tuple(edit(at, original(at, here))))


def _without_messages(original: Callable[..., None]) -> Callable[..., None]:
    def changed(turn: Any, *args: Any) -> None:
        sent = len(turn.messages)
        original(turn, *args)
        del turn.messages[sent:]

    return changed


def _unversioned(turn: Any, told: Any) -> tuple[Any, ...]:
    if told.group in turn.root.relations:
        turn.root.relations[told.group].version = 0
    return turn, told


def _not_crowded(at: Group, here: bytes, belong: Any) -> tuple[Any, ...]:
    at.crowded = False
    return at, here, belong


def _stays_behind(original: Callable[..., None]) -> Callable[..., None]:
    def share(turn: Any, old: Any, new: Any) -> None:
        original(turn, old, new)
        if new is not turn.root:
            new.relations = {}

    return share


def _remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    def tell(at: Group, here: bytes) -> Any:
        members = at.members
        told = original(at, here)
        at.members = members
        return told

    return tell


def who_has_left() -> None:
    """Play a move that comes after the leave."""
    test_group.test_who_is_not_in_it_neither_moves_nor_leaves("move")


OF_RELATIONS: dict[str, Broken] = {
    "a leave is ignored": Broken(_belongs("leave", None), test_relations.test_who_moves_leaves),
    "a move is ignored": Broken(_belongs("move", None), groups),
    "who seeks is not answered": Broken(_belongs("seek", None), groups),
    "who refers is among the referred": Broken(_belongs("enter", lambda b: b._replace(refers=False)), groups),
    "an older telling holds": Broken(replaced(related, "on_told", before(_unversioned)), groups),
    "only one is told": Broken(_tells(lambda _, told: told[:1]), groups),
    "a referrer is not asked to enter": Broken(
        _tells(lambda at, told: (m for m in told if m.to != at.of or at.of in at.members)), groups
    ),
    "a group is never crowded": Broken(
        constant(group, "MAX_MEMBERS", 10**6), test_relations.test_a_dormitory_is_crowded_and_remembers_nobody
    ),
    "a crowded group remembers": Broken(
        replaced(group, "_tell", _remembering), test_relations.test_a_dormitory_is_crowded_and_remembers_nobody
    ),
    "a merge is not told to the groups": Broken(replaced(related, "unite", _without_messages), groups),
    "a merge forgets the groups of the absorbed": Broken(replaced(related, "unite", nothing()), groups),
    "a split is not told to the groups": Broken(replaced(related, "share", _without_messages), groups),
    "groups do not go with their part": Broken(replaced(related, "share", _stays_behind), groups),
    "an erased customer stays in its groups": Broken(replaced(related, "leave_all", nothing()), groups),
    "who was named before it came is not found": Broken(replaced(related, "seek", nothing(())), groups),
    "one is one's own mate": Broken(
        replaced(related, "mates_of", lambda original: lambda held, _: original(held, b"")),
        test_relations.test_a_family_is_related_and_stays_two_customers,
    ),
    "who moves house does not leave": Broken(
        replaced(related, "relate", after(lambda sent: [m for m in sent if m.body.verb != "leave"])),
        test_relations.test_who_moves_leaves,
    ),
    "a move of who has left lets them in": Broken(
        _belongs("move", lambda belong: belong._replace(verb="enter")),
        who_has_left,
    ),
    "a crowded group lets in": Broken(
        replaced(group, "_belong", before(_not_crowded)), test_group.test_a_crowded_group_lets_nobody_in_and_says_so
    ),
    "a crowded group is counted": Broken(
        replaced(related, "seen", after(lambda seen: [each._replace(crowded=False) for each in seen])),
        test_relations.test_a_dormitory_is_crowded_and_remembers_nobody,
    ),
    "spelling counts": Broken(
        replaced(declared, "_plain", lambda _: lambda name, value: value),
        test_relations.test_a_family_is_related_and_stays_two_customers,
    ),
}

# ── caps ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _forgetful(original: Callable[..., Step]) -> Callable[..., Step]:
    def ask(at: Group, here: bytes, asked: Any) -> Step:
        step = original(at, here, asked)
        at.grants = [grant for grant in at.grants if grant.id != asked.id]
        return step

    return ask


def _ask_not_crowded(at: Group, here: bytes, asked: Any) -> tuple[Any, ...]:
    at.crowded = False
    return at, here, asked


def _also_crowded(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda root, policy: sorted(root.relations) if policy.household_cap is not None else []


def both_houses() -> None:
    """Play somebody of two households, of which the one or the other has had its offer."""
    for taken in "AB":
        caps.test_of_several_households_all_must_grant(taken, 4)


def dormitory() -> None:
    """Play a household of too many."""
    with pytest.MonkeyPatch.context() as patch:
        caps.test_a_dormitory_is_not_asked_and_denies_nobody(patch)


def _asks(edit: Callable[[Any], Any]) -> Mutation:
    return replaced(group, "_ask", before(lambda at, here, asked: (at, here, edit(asked))))


def _places(edit: Callable[[Any], Any]) -> Callable[[Step], Step]:
    """Return a change of the answer that a household gives."""

    def changed(step: Step) -> Step:
        return step._replace(
            messages=tuple(m._replace(body=edit(m.body)) if hasattr(m.body, "granted") else m for m in step.messages)
        )

    return changed


OF_CAPS: dict[str, Broken] = {
    "nothing is asked": Broken(
        replaced(places, "households", nothing([])),
        caps.test_in_the_same_second_one_of_each_household_is_chosen_and_the_others_know_why,
    ),
    "a grant is not remembered": Broken(
        replaced(group, "_ask", _forgetful),
        caps.test_in_the_same_second_one_of_each_household_is_chosen_and_the_others_know_why,
    ),
    "the cap is one too high": Broken(
        _asks(
            lambda asked: asked._replace(**{f: n + 1 for f in ("day", "week") if (n := getattr(asked, f)) is not None})
        ),
        caps.test_a_cap_of_nothing_denies_everybody,
    ),
    "a week is a day": Broken(constant(group, "WEEK_MS", group.DAY_MS), one_a_week),
    "a household never says no": Broken(
        replaced(group, "_against", nothing(b"")),
        caps.test_a_cap_of_nothing_denies_everybody,
    ),
    "a household always says no": Broken(
        replaced(group, "_ask", after(_places(lambda place: place._replace(granted=False)))),
        caps.test_in_the_same_second_one_of_each_household_is_chosen_and_the_others_know_why,
    ),
    "of several households the last one decides": Broken(
        replaced(group, "_against", lambda original: lambda at, asked: b"" if asked.rest else original(at, asked)),
        both_houses,
    ),
    "what one household has granted is kept when another denies": Broken(
        replaced(
            group,
            "_ask",
            after(lambda step: step._replace(messages=[m for m in step.messages if not isinstance(m.body, Release)])),
        ),
        both_houses,
    ),
    "who is told no is not told whose offer it was": Broken(
        replaced(group, "_ask", after(_places(lambda place: place._replace(by=b"")))), both_houses
    ),
    "a crowded household is asked": Broken(
        replaced(places, "households", _also_crowded),
        dormitory,
    ),
    "a crowded household denies": Broken(
        replaced(group, "_ask", before(_ask_not_crowded)),
        test_group.test_a_crowded_group_grants_what_is_still_asked_and_remembers_nothing,
    ),
    "a place that comes to nothing is kept": Broken(
        replaced(places, "releases", nothing(())), caps.test_a_place_that_comes_to_nothing_is_given_back
    ),
}

# ── near matches ──────────────────────────────────────────────────────────────────────────────────────────────────


def _same_secret(original: Callable[..., None]) -> Callable[..., None]:
    def leave(run: Any, key: bytes, node: bytes) -> None:
        original(run, key, node)
        run.left.clear()

    return leave


def _anew(root: Any, node: bytes, hashed: Any) -> tuple[Any, ...]:
    facet = root.facets[node]
    facet.card = b"\0" * 8 + facet.card[8:] if facet.card else b""
    return root, node, hashed


def _no_answer_to_holds(original: Callable[..., Step]) -> Callable[..., Step]:
    """Let an erased node drop the news that somebody holds a pair with it."""
    return lambda erased, message: (
        Step(erased, changed=False) if isinstance(message.body, Holds) else original(erased, message)
    )


OF_NEAR: dict[str, Broken] = {
    "a pair is held by both": Broken(replaced(pairs, "rank", nothing((0, b""))), held_once),
    "who was told apart is asked about again": Broken(
        lambda patch: (
            replaced(likeness, "told_apart", nothing(False))(patch),
            replaced(likeness, "different_from", nothing([]))(patch),
        )[0],
        matches.test_different_is_for_ever,
    ),
    "a word of different is dropped": Broken(
        lambda patch: patch.setitem(split._OBEY, "different", nothing()(None)), matches.test_different_is_for_ever
    ),
    "a limit does not make a question": Broken(
        lambda patch: (
            patch.setattr(pairs, "forbids", lambda *args: None),
            patch.setattr(likeness, "refused", lambda *args: None),
        )[0],
        matches.test_limits_make_a_question_of_an_automatic_link,
    ),
    "what is one already stays a question": Broken(
        replaced(likeness, "unite", nothing()), matches.test_a_signal_that_names_both_settles_the_question
    ),
    "an answer does not teach": Broken(
        replaced(
            likeness,
            "tell",
            lambda original: lambda *args, **more: original(*args, **(more | {"taught": None})),
        ),
        answers_teach,
    ),
    "a link by itself confirms itself": Broken(constant(likeness, "NEAR_MATCH", "?"), can_be_cut),
    "an erased card stays": Broken(replaced(carding, "withdrawn", nothing([])), erased_leave_nothing),
    "a learner keeps an erased card": Broken(replaced(near, "forget", nothing()), erased_leave_nothing),
    "a block that a card has left keeps its secret": Broken(
        lambda patch: patch.setattr(near._Run, "_leave", _same_secret(near._Run._leave)),
        matches.test_a_block_that_a_card_has_left_gets_a_new_secret,
    ),
    "what is gone from a card stays in its block": Broken(
        replaced(carding, "recard", after(lambda told: [each for each in told if hasattr(each, "card")])),
        matches.test_the_same_card_is_sent_once,
    ),
    "the same card is sent again": Broken(
        replaced(carding, "recard", before(_anew)), matches.test_the_same_card_is_sent_once
    ),
    "who holds a pair is not told of the erasure": Broken(
        replaced(likeness, "end_all", nothing()), erased_leave_nothing
    ),
    "nobody remembers who holds a pair": Broken(
        lambda patch: patch.setitem(identity._WEIGHERS, Holds, nothing(False)(None)), erased_leave_nothing
    ),
    "who was erased does not answer who holds a pair": Broken(
        replaced(erasure, "at_erased", _no_answer_to_holds), erased_at_any_moment
    ),
    "there is no room for so many likenesses": Broken(constant(likeness, "MAX_LIKENESSES", 0), one_question),
}

MUTATIONS: dict[str, Broken] = OF_RELATIONS | OF_CAPS | OF_NEAR


def catch(name: str) -> str | None:
    """Break one rule and play its property; return what it noticed, None for nothing."""
    broken = MUTATIONS[name]
    patch = pytest.MonkeyPatch()
    broken.mutate(patch)
    try:
        broken.noticed_by()
    except (AssertionError, ProtocolError, KeyError, ValueError, pytest.fail.Exception) as exc:
        # As in identity_mutants: a rule that is gone lets the code find what cannot be. It never passes for right.
        return f"{broken.noticed_by.__name__}: {type(exc).__name__}: {str(exc).splitlines()[0] if str(exc) else ''}"
    finally:
        patch.undo()
    return None
