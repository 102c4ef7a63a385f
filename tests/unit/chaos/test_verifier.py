"""The verifier of `make chaos` finds what it is there to find: a right world with one fault in it, each."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import pytest

from tests.chaos import load
from tests.chaos.people import Name, strongest
from tests.chaos.truth import Planned, Ruled, Truth
from tests.chaos.verifier import OUTCOME_OF, verify
from tests.chaos.world import Root, World

CROWD = 60
SIGNALS = 2_000


def node_of(name: Name) -> bytes:
    return blake2b("/".join(name).encode(), digest_size=16).digest()


def truth_of_a_run() -> Truth:
    """A load, and one ruling of each kind upon people who are whole."""
    book, truth = load.Book(), Truth()
    for record in itertools.islice(load.signals(book, seed=7, start_ms=0, crowd=CROWD), SIGNALS):
        truth.accept(record)
    truth.households = book.households()
    whole = set(truth.customers())
    people = [each for each in dict.fromkeys(book.stories.values()) if each.names in whole]
    one, two, three, four, five = people[:5]
    out = max(sorted(two.names), key=lambda name: sum(name in tie for tie in two.ties))
    truth.rulings = [
        Ruled("c", "cut", *one.ties[0], outcomes=1),
        Ruled("s", "split", out, None, outcomes=sum(out in tie for tie in two.ties)),
        Ruled("m", "merge", min(three.names), max(four.names), outcomes=1),
        Ruled("e", "erase", min(five.names), None, 1, {node_of(name): name for name in five.names}),
    ]
    return truth


def world_of(truth: Truth) -> World:
    """What the topics would say."""
    world = World()
    groups = [set(group) for group in truth.customers()]
    for shared, story in truth.households.items():
        users = [other for tie in story.ties for other in tie if shared in tie and other != shared]
        tied = [user for user in users if tuple(sorted((user, shared))) in truth.ties]
        if tied:
            next(group for group in groups if tied[0] in group).add(shared)
        elif truth.signals[shared]:
            groups.append({shared})
        for refused in tied[1:]:
            world.merges.append(merge("refused", node_of(refused), node_of(shared), reason="user_id"))
    for group in groups:
        add_customer(world, truth, group)
    for ruled in truth.rulings:
        for number in range(ruled.outcomes):
            told = merge(OUTCOME_OF[ruled.kind], node_of(ruled.one), b"%16d" % number, ruling=ruled.id)
            world.merges.append(told | {"nodes": list(ruled.erased)})
        world.erased |= dict.fromkeys(ruled.erased, ruled.id)
    world.letters = [letter(number) for number in range(truth.garbage)]
    world.letters += [
        letter(50_000) | {"code": "erased", "value": None, "key": node} for node in list(world.erased)[:1]
    ]
    world.outputs = {"decisions": Counter({"d-1": 1, "d-2": 1})}
    world.redis = {key.hex(): each["history"]["signals"] for key, each in world.profiles.items()}
    return world


def add_customer(world: World, truth: Truth, group: set[Name]) -> None:
    nodes = {node_of(name): name for name in sorted(group)}
    root = min(nodes)
    world.profiles[root] = {
        "members": [{"node": node, "kind": kind, "value": value} for node, (kind, value) in nodes.items()],
        "history": {"signals": sum(truth.signals[name] for name in group)},
        "value": {"spent_minor": sum(truth.spent[name] for name in group)},
    }
    world.identities.update(dict.fromkeys(nodes, root))
    facets = {node: truth.signals[name] for node, name in nodes.items() if truth.signals[name]}
    world.roots[root] = Root(nodes, facets)
    world.aliases.update({node: root for node in nodes if node != root})


def merge(kind: str, customer: bytes, merged: bytes, *, reason: str = "link", ruling: str = "") -> dict[str, Any]:
    told = {"kind": kind, "customer": customer, "merged": merged, "reason": reason, "ruling": ruling}
    return told | {"signal_id": "", "at_ms": 1}


def letter(number: int) -> dict[str, Any]:
    value = b"garbage %d" % number
    return {
        "topic": "signals.web",
        "partition": 0,
        "offset": number,
        "value": value,
        "code": "c",
        "detail": "d",
        "key": b"",
    }


@pytest.fixture(scope="module")
def truth() -> Truth:
    return truth_of_a_run()


@pytest.fixture(scope="module")
def right(truth: Truth) -> World:
    return world_of(truth)


def largest(world: World, number: int = 0) -> bytes:
    """A customer of many."""
    return sorted(world.profiles, key=lambda key: -len(world.profiles[key]["members"]))[number]


def test_a_right_world_is_right(truth: Truth, right: World) -> None:
    verdict = verify(right, truth)
    assert verdict.ok, verdict
    assert (len(truth.households) > 1, truth.links > 500, len(right.profiles) > 50) == (True, True, True)


def test_a_tablet_that_nobody_has_named_yet_is_not_missed() -> None:
    """The load may end when a household's people were heard of, and what they share was not."""
    book, truth = load.Book(), Truth()
    for record in load.signals(book, seed=7, start_ms=0, crowd=CROWD):
        truth.accept(record)
        truth.households = book.households()
        begun = {shared for shared, each in truth.households.items() if not truth.ties.isdisjoint(each.ties)}
        named = {name for tie in truth.ties for name in tie} | truth.signals.keys()
        if begun - named:
            break
    verdict = verify(world_of(truth), truth)
    assert (verdict.household_differences, verdict.identity_differences, verdict.lost) == (0, 0, 0), verdict.notes


def lose_a_link(world: World) -> None:
    """A member is a customer of its own, everywhere in the same way."""
    customer = largest(world)
    profile, root = world.profiles[customer], world.roots[customer]
    member = next(each for each in profile["members"] if each["node"] != customer and each["node"] not in root.facets)
    profile["members"].remove(member)
    node = member["node"]
    empty = {"members": [member], "history": {"signals": 0}, "value": {"spent_minor": 0}}
    world.profiles[node], world.redis[node.hex()] = empty, 0
    world.identities[node] = node
    world.roots[node] = Root({node: root.members.pop(node)}, {})
    del world.aliases[node]


def merge_strangers(world: World) -> None:
    """Two customers are one, everywhere in the same way."""
    one, other = largest(world), largest(world, 1)
    profile, gone = world.profiles[one], world.profiles.pop(other)
    profile["members"] += gone["members"]
    profile["history"]["signals"] += gone["history"]["signals"]
    profile["value"]["spent_minor"] += gone["value"]["spent_minor"]
    world.redis[one.hex()] = profile["history"]["signals"]
    del world.redis[other.hex()]
    for member in gone["members"]:
        world.identities[member["node"]] = one
    root = world.roots.pop(other)
    world.roots[one].members.update(root.members)
    world.roots[one].facets.update(root.facets)
    world.aliases[other] = one


def double_a_facet(world: World) -> None:
    """What a customer held lies in another, too, and counts there."""
    one, other = largest(world), largest(world, 1)
    node, count = next(iter(world.roots[one].facets.items()))
    world.roots[other].facets[node] = count
    world.profiles[other]["history"]["signals"] += count
    world.redis[other.hex()] += count


def count_twice(world: World) -> None:
    customer = largest(world)
    world.profiles[customer]["history"]["signals"] += 1
    world.redis[customer.hex()] += 1
    facets = world.roots[customer].facets
    facets[next(iter(facets))] += 1


def lose_a_signal(world: World) -> None:
    customer = largest(world)
    world.profiles[customer]["history"]["signals"] -= 1
    world.redis[customer.hex()] -= 1
    facets = world.roots[customer].facets
    facets[next(iter(facets))] -= 1


def show_a_node_twice(world: World) -> None:
    member = world.profiles[largest(world)]["members"][0]
    world.profiles[largest(world, 1)]["members"].append(member)


def hide_a_member(world: World) -> None:
    world.profiles[largest(world)]["members"].pop()


def lose_an_identity(world: World) -> None:
    del world.identities[next(iter(world.identities))]


def lose_a_customer(world: World) -> None:
    customer = largest(world)
    for member in world.profiles.pop(customer)["members"]:
        del world.identities[member["node"]]
    del world.roots[customer], world.redis[customer.hex()]


def ruled(ruling: str, world: World) -> list[dict[str, Any]]:
    return [each for each in world.merges if each["ruling"] == ruling]


def leave_unanswered(world: World) -> None:
    world.merges.remove(ruled("c", world)[0])


def answer_in_part(world: World) -> None:
    world.merges.remove(ruled("s", world)[-1])


def answer_twice(world: World) -> None:
    world.merges.append(ruled("m", world)[0] | {"at_ms": 2})


def declare_void(world: World) -> None:
    ruled("c", world)[0]["kind"] = "void"


def obey_nobody(world: World) -> None:
    world.merges.append(merge("split", b"1" * 16, b"2" * 16, ruling="nobody's"))


def tell_a_merge_twice(world: World) -> None:
    world.merges += [merge("merged", b"1" * 16, b"2" * 16)] * 2


def copy_a_decision(world: World) -> None:
    world.outputs["decisions"]["d-1"] += 1


def households(world: World) -> list[tuple[bytes, bytes]]:
    """Who has a shared tablet: customer, node."""
    return [
        (customer, member["node"])
        for customer, profile in world.profiles.items()
        for member in profile["members"]
        if member["value"].startswith("tablet-") and len(profile["members"]) > 1
    ]


def unite_a_household(world: World) -> None:
    """Both accounts are in one profile."""
    customer, _ = households(world)[0]
    (user,) = [each for each in world.profiles[customer]["members"] if each["kind"] == "user_id"]
    world.profiles[customer]["members"].append(user | {"value": user["value"][:-1] + "c", "node": b"c" * 16})


def give_a_tablet_to_both(world: World) -> None:
    customer, tablet = households(world)[0]
    (member,) = [each for each in world.profiles[customer]["members"] if each["node"] == tablet]
    world.profiles[households(world)[1][0]]["members"].append(member)


def take_a_tablet_from_both(world: World) -> None:
    customer, tablet = households(world)[0]
    profile = world.profiles[customer]
    profile["members"] = [each for each in profile["members"] if each["node"] != tablet]


def hide_the_refusals(world: World) -> None:
    world.merges = [each for each in world.merges if each["kind"] != "refused"]


def lose_a_root(world: World) -> None:
    del world.roots[largest(world)]


def lead_in_a_circle(world: World) -> None:
    one, other = list(world.aliases)[:2]
    world.aliases[one], world.aliases[other] = other, one


def orphan_a_facet(world: World) -> None:
    customer = largest(world)
    del world.roots[customer].members[next(iter(world.roots[customer].facets))]


def lose_money(world: World) -> None:
    customer = max(world.profiles, key=lambda key: world.profiles[key]["value"]["spent_minor"])
    world.profiles[customer]["value"]["spent_minor"] = 0


def lose_a_letter(world: World) -> None:
    world.letters.pop(0)


def write_a_letter_twice(world: World) -> None:
    world.letters.append(world.letters[0])


def write_a_strange_letter(world: World) -> None:
    world.letters.append(letter(10_000) | {"value": b"a signal"})


def show_who_was_erased(world: World) -> None:
    node = next(iter(world.erased))
    world.profiles[largest(world)]["members"].append({"node": node, "kind": "email", "value": "x"})
    world.identities[node] = largest(world)


def keep_a_pointer_of_who_was_erased(world: World) -> None:
    node = next(iter(world.erased))
    world.aliases[node] = largest(world)


def forget_that_one_was_erased(world: World) -> None:
    del world.erased[next(iter(world.erased))]


def erase_whom_nobody_named(world: World) -> None:
    world.erased[b"n" * 16] = "nobody's"


def erase_in_part(world: World) -> None:
    ruled("e", world)[0]["nodes"].pop()


def keep_bytes_of_who_was_erased(world: World) -> None:
    world.letters[-1]["value"] = b"a signal"


def refuse_who_was_not_erased(world: World) -> None:
    world.letters[-1]["key"] = largest(world)


def serve_an_old_profile(world: World) -> None:
    world.redis[next(iter(world.redis))] -= 1


def serve_who_is_gone(world: World) -> None:
    world.redis["gone"] = 3


FAULTS: list[tuple[Callable[[World], None], str]] = [
    (lose_a_link, "identity_differences"),
    (merge_strangers, "identity_differences"),
    (lose_an_identity, "identity_differences"),
    (lose_an_identity, "profile_differences"),
    (lose_a_customer, "lost"),
    (lose_a_customer, "identity_differences"),
    (double_a_facet, "orphan_facets"),
    (double_a_facet, "doubled"),
    (double_a_facet, "wrong_facets"),
    (count_twice, "doubled"),
    (count_twice, "wrong_facets"),
    (lose_a_signal, "lost"),
    (lose_a_signal, "wrong_facets"),
    (show_a_node_twice, "profile_differences"),
    (hide_a_member, "profile_differences"),
    (leave_unanswered, "rulings_unanswered"),
    (answer_in_part, "rulings_unanswered"),
    (answer_twice, "rulings_twice"),
    (declare_void, "rulings_wrong"),
    (obey_nobody, "rulings_wrong"),
    (tell_a_merge_twice, "duplicate_outputs"),
    (copy_a_decision, "duplicate_outputs"),
    (unite_a_household, "broken_limits"),
    (give_a_tablet_to_both, "household_differences"),
    (take_a_tablet_from_both, "household_differences"),
    (hide_the_refusals, "refusals_missing"),
    (lose_a_root, "wrong_customers"),
    (lead_in_a_circle, "orphan_facets"),
    (orphan_a_facet, "orphan_facets"),
    (lose_money, "wrong_money"),
    (lose_a_letter, "dead_letters_missing"),
    (write_a_letter_twice, "duplicate_outputs"),
    (write_a_strange_letter, "dead_letters_unexpected"),
    (show_who_was_erased, "erased_left"),
    (show_who_was_erased, "identity_differences"),
    (keep_a_pointer_of_who_was_erased, "erased_left"),
    (forget_that_one_was_erased, "erased_left"),
    (erase_whom_nobody_named, "erased_left"),
    (erase_in_part, "rulings_wrong"),
    (keep_bytes_of_who_was_erased, "dead_letters_unexpected"),
    (refuse_who_was_not_erased, "dead_letters_unexpected"),
    (serve_an_old_profile, "redis_differences"),
    (serve_who_is_gone, "redis_differences"),
]


@pytest.mark.parametrize(("inject", "finding"), FAULTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_fault_is_found(truth: Truth, right: World, inject: Callable[[World], None], finding: str) -> None:
    """Each fault shows under the name under which it is reported, and the run is not exact."""
    world = copy.deepcopy(right)
    inject(world)
    verdict = verify(world, truth)
    assert verdict.findings[finding] > 0, verdict
    assert not verdict.ok


@pytest.mark.parametrize("kind", ["cut", "split", "merge", "erase"])
def test_a_ruling_that_was_not_obeyed_is_found(truth: Truth, kind: str) -> None:
    """It was answered, but who is whose is as before."""
    before = copy.deepcopy(truth)
    before.rulings = [each for each in truth.rulings if each.kind != kind]
    world = world_of(before)
    world.merges = world_of(truth).merges
    verdict = verify(world, truth)
    assert verdict.findings["identity_differences"] > 0
    assert verdict.findings["rulings_unanswered"] == 0


def test_what_became_of_actions_counts_too(truth: Truth, right: World) -> None:
    """An outcome names a customer by its id: it counts in that node's facet."""
    world = copy.deepcopy(right)
    customer = largest(world)
    world.outcomes[customer] = 2
    assert verify(world, truth).lost == 2
    world.profiles[customer]["history"]["signals"] += 2
    world.redis[customer.hex()] += 2
    facets = world.roots[customer].facets
    facets[customer] = facets.get(customer, 0) + 2
    assert verify(world, truth).ok


def test_a_retry_and_garbage_are_no_signals() -> None:
    truth = Truth()
    names = (("email", "a@shop.example"), ("user_id", "a"))
    signal = Planned("signals.web", b"", b"", "s-1", 5, names)
    for record in (signal, signal, Planned("signals.web", b"", b"", "")):
        truth.accept(record)
    assert (truth.signals, truth.spent) == ({("user_id", "a"): 1}, {("user_id", "a"): 5})
    assert (truth.written, truth.retries, truth.garbage, truth.links) == (3, 1, 1, 1)
    assert strongest(names) == ("user_id", "a")
    assert truth.customers() == [frozenset(names)]
