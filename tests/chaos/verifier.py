"""Holds what the topics say against what was accepted. Pure; it shares no code with the pipeline."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.people import Name
from tests.chaos.truth import Truth
from tests.chaos.world import Root, World

# So many of each kind of finding are told with their particulars.
MOST_NOTES = 5

# What an operator's ruling comes to in ``merges``.
OUTCOME_OF = {"cut": "split", "split": "split", "merge": "merged", "erase": "erased"}


@dataclass(slots=True)
class Verdict:
    """What was found wrong; all zero is what exactly once means.

    Parameters
    ----------
    lost, doubled : signals, by profiles; ``wrong_facets``: facets whose count is not what came in through their node
    identity_differences : identifiers whose customer is not that of the offline union-find
    profile_differences : identifiers of which ``profiles`` and ``identities`` differ
    household_differences : shared identifiers that are not in exactly one of the customers that share them
    broken_limits, refusals_missing : of people who share an identifier: two accounts in one, and refusals not told
    erased_left : identifiers of who was erased that are anywhere still, or not marked as erased
    rulings_unanswered, rulings_twice, rulings_wrong : rulings with too few, too many and other outcomes
    """

    lost: int = 0
    doubled: int = 0
    wrong_facets: int = 0
    wrong_money: int = 0
    identity_differences: int = 0
    profile_differences: int = 0
    household_differences: int = 0
    broken_limits: int = 0
    refusals_missing: int = 0
    erased_left: int = 0
    rulings_unanswered: int = 0
    rulings_twice: int = 0
    rulings_wrong: int = 0
    duplicate_outputs: int = 0
    orphan_facets: int = 0
    wrong_customers: int = 0
    dead_letters_missing: int = 0
    dead_letters_unexpected: int = 0
    redis_differences: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def findings(self) -> dict[str, int]:
        """Return all counts."""
        return {name: value for name, value in asdict(self).items() if name != "notes"}

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return not any(self.findings.values())


def verify(world: World, truth: Truth) -> Verdict:
    """Return what is wrong with the world, given what was accepted."""
    verdict = Verdict()
    names = world.names() | truth.erased()
    _identities(world, truth, names, verdict)
    _profiles(world, verdict)
    _households(world, truth, verdict)
    _counts(world, truth, names, verdict)
    _rulings(world, truth, verdict)
    _erased(world, truth, verdict)
    _outputs(world, verdict)
    _state(world, verdict)
    _dead_letters(world, truth, verdict)
    told = {customer.hex(): profile["history"]["signals"] for customer, profile in world.profiles.items()}
    verdict.redis_differences = len({customer for customer, _ in told.items() ^ world.redis.items()})
    return verdict


def _note(verdict: Verdict, what: str, findings: Iterable[str]) -> int:
    """Count findings, and tell the first of them."""
    found = sorted(findings)
    verdict.notes += [f"{what}: {each}" for each in found[:MOST_NOTES]]
    return len(found)


def _by_name(groups: Iterable[frozenset[Name]]) -> dict[Name, frozenset[Name]]:
    return {name: group for group in groups for name in group}


def _identities(world: World, truth: Truth, names: Mapping[bytes, Name], verdict: Verdict) -> None:
    """Compare the partition of ``identities`` with the offline union-find's."""
    customers: dict[bytes, set[Name]] = defaultdict(set)
    for node, customer in world.identities.items():
        name = names.get(node, ("unknown", node.hex()))
        if name not in truth.households:
            customers[customer].add(name)
    expected = _by_name(truth.customers())
    found = _by_name(frozenset(group) for group in customers.values())

    def differences() -> Iterator[str]:
        for name in expected.keys() | found.keys():
            is_with, belongs_with = found.get(name, frozenset()), expected.get(name, frozenset())
            if is_with != belongs_with:
                more, fewer = sorted(is_with - belongs_with), sorted(belongs_with - is_with)
                yield f"{name} is with {more[:3]} too many, and without {fewer[:3]}"

    verdict.identity_differences = _note(verdict, "identity", differences())


def _profiles(world: World, verdict: Verdict) -> None:
    """Each profile's members are those whom ``identities`` give it."""
    given = set(world.identities.items())
    shown = [(member["node"], customer) for customer, each in world.profiles.items() for member in each["members"]]
    nodes = Counter(node for node, _ in shown)
    wrong = {node for node, _ in given ^ set(shown)} | {node for node, count in nodes.items() if count > 1}
    verdict.profile_differences = _note(verdict, "profile", (f"node {node.hex()}, in {nodes[node]}" for node in wrong))


def _households(world: World, truth: Truth, verdict: Verdict) -> None:
    """People who share an identifier stay apart; one of them has it, and the others were told."""
    customers: dict[Name, list[set[Name]]] = defaultdict(list)
    for profile in world.profiles.values():
        members = {(each["kind"], each["value"]) for each in profile["members"]}
        for shared in members & truth.households.keys():
            customers[shared].append(members)
    ids = world.names()
    refused = {(ids.get(each["customer"]), each["reason"]) for each in world.merges if each["kind"] == "refused"}
    misplaced, missing = [], []
    for shared, story in truth.households.items():
        found = customers[shared]
        if not truth.signals[shared] and not any(shared in each for each in truth.ties.intersection(story.ties)):
            continue  # the load ended before anybody named it, be it that its people were heard of
        if len(found) != 1 or not found[0] <= story.names:
            misplaced.append(f"{shared} is in {len(found)} customers, among others")
        verdict.broken_limits += any(sum(kind == "user_id" for kind, _ in each) > 1 for each in found)
        both = all(tie in truth.ties for tie in story.ties if shared in tie)
        if both and not any((name, "user_id") in refused for name in story.names):
            missing.append(f"{shared} ties two accounts, and nobody was told")
    verdict.household_differences = _note(verdict, "household", misplaced)
    verdict.refusals_missing = _note(verdict, "refusal", missing)


def _counts(world: World, truth: Truth, names: Mapping[bytes, Name], verdict: Verdict) -> None:
    """Each signal counts once, in the profile and the facet of the identifier that it belongs to."""
    expected = truth.signals.copy()
    for node, count in world.outcomes.items():
        expected[names.get(node, ("unknown", node.hex()))] += count
    for name in truth.erased().values():
        del expected[name]
    seen: set[Name] = set()
    notes = []
    for customer, profile in world.profiles.items():
        members = {(each["kind"], each["value"]) for each in profile["members"]}
        counted, wanted = profile["history"]["signals"], sum(expected[name] for name in members)
        verdict.lost += max(0, wanted - counted)
        verdict.doubled += max(0, counted - wanted)
        if counted != wanted:
            notes.append(f"customer {customer.hex()} of {sorted(members)[:3]} counts {counted}, not {wanted}")
        verdict.wrong_money += profile["value"]["spent_minor"] != sum(truth.spent[name] for name in members)
        seen |= members
    verdict.lost += sum(count for name, count in expected.items() if name not in seen)
    _note(verdict, "count", notes)
    facets: Counter[Name] = Counter()
    for root in world.roots.values():
        for node, count in root.facets.items():
            facets[names.get(node, ("unknown", node.hex()))] += count
    wrong = [name for name in expected.keys() | facets.keys() if facets[name] != expected[name]]
    verdict.wrong_facets = _note(verdict, "facet", (f"{n} has {facets[n]}, not {expected[n]}" for n in wrong))


def _rulings(world: World, truth: Truth, verdict: Verdict) -> None:
    """Each ruling has the outcomes that it must have, and no others."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for each in world.merges:
        if each["ruling"]:
            outcomes[each["ruling"]].append(each["kind"])
        if each["kind"] == "erased":
            nodes = {node for ruled in truth.rulings if ruled.id == each["ruling"] for node in ruled.erased}
            verdict.rulings_wrong += nodes != set(each["nodes"])
    for ruled in truth.rulings:
        told = outcomes.pop(ruled.id, [])
        verdict.rulings_unanswered += len(told) < ruled.outcomes
        verdict.rulings_twice += len(told) > ruled.outcomes
        verdict.rulings_wrong += any(kind != OUTCOME_OF[ruled.kind] for kind in told)
        if told != [OUTCOME_OF[ruled.kind]] * ruled.outcomes:
            verdict.notes.append(f"ruling {ruled.id}: {told}, not {ruled.outcomes} times {OUTCOME_OF[ruled.kind]}")
    verdict.rulings_wrong += len(outcomes)  # of rulings that nobody made


def _erased(world: World, truth: Truth, verdict: Verdict) -> None:
    """Of who was erased nothing is left but the mark that it was."""
    shown = {member["node"] for profile in world.profiles.values() for member in profile["members"]}
    held = {node for root in world.roots.values() for node in (*root.members, *root.facets)}
    left = shown | held | world.identities.keys() | world.aliases.keys() | world.roots.keys()
    marks = {node: ruled.id for ruled in truth.rulings for node in ruled.erased}
    wrong = [node for node in truth.erased() if node in left or world.erased.get(node) != marks[node]]
    wrong += world.erased.keys() - marks.keys()
    verdict.erased_left = _note(verdict, "erased", (f"node {node.hex()}" for node in wrong))


def _outputs(world: World, verdict: Verdict) -> None:
    """What must be there once is."""
    told = Counter(
        (each["kind"], each["customer"], each["merged"], each["signal_id"], each["ruling"], each["at_ms"])
        for each in world.merges
        if each["kind"] in ("merged", "split")
    )
    counted: dict[str, Counter[Any]] = {**world.outputs, "merges": told}
    for topic, seen in counted.items():
        extra = sum(seen.values()) - len(seen)
        verdict.duplicate_outputs += extra
        if extra:
            verdict.notes.append(f"{topic}: {extra} of {sum(seen.values())} are copies")


def _state(world: World, verdict: Verdict) -> None:
    """Every facet lies in one root, at a member; every alias leads to a root; every root has its profile."""
    facets = Counter(node for root in world.roots.values() for node in root.facets)
    verdict.orphan_facets += sum(count - 1 for count in facets.values())
    verdict.orphan_facets += sum(len(root.facets.keys() - root.members.keys()) for root in world.roots.values())
    verdict.orphan_facets += sum(not _leads_home(node, world.aliases, world.roots) for node in world.aliases)
    verdict.wrong_customers = len(world.roots.keys() ^ world.profiles.keys())


def _leads_home(node: bytes, aliases: Mapping[bytes, bytes], roots: Mapping[bytes, Root]) -> bool:
    seen = set()
    while node in aliases and node not in seen:
        seen.add(node)
        node = aliases[node]
    return node in roots


def _dead_letters(world: World, truth: Truth, verdict: Verdict) -> None:
    """Every piece of garbage once, signals of who was erased without their bytes, nothing else."""
    origins: Counter[Any] = Counter()
    strange, erased, garbage = [], truth.erased(), set()
    for letter in world.letters:
        origin = letter["topic"], letter["partition"], letter["offset"]
        origins[origin] += 1
        if (letter["value"] or b"").startswith(b"garbage "):
            garbage.add(origin)
        elif letter["code"] != "erased" or letter["value"] is not None or letter["key"] not in erased:
            strange.append(f"{letter['code']}: {letter['detail'][:120]}")
    verdict.dead_letters_unexpected = _note(verdict, "dead letter", strange)
    verdict.duplicate_outputs += sum(count - 1 for count in origins.values())
    verdict.dead_letters_missing = max(0, truth.garbage - len(garbage))
