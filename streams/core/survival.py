"""Which value of a field survives, by the field's rule, and what it survived: provenance of both.

A facet remembers of each trait the distinct statements (source and value), each with its newest signal and how often
it was made, at most ``MAX_OTHERS`` beside the newest. Statements of several facets add up, so the result depends on
no order and an unmerge takes it apart exactly. Only past that bound does order count: a statement that was dropped and
comes again is counted anew.
"""

from collections.abc import Iterable

from streams.core.facet_state import MAX_OTHERS, MAX_TRAIT_BYTES, Trait
from streams.core.rules import Keep, Rules


def state(old: Trait, value: str, source: str, at_ms: int, signal_id: str) -> Trait:
    """Return a trait after one more statement; ``old`` may be changed."""
    if old.value == value and old.source == source:
        _again(old, at_ms, signal_id)
        return old
    for other in old.others:
        if other.value == value and other.source == source:
            _again(other, at_ms, signal_id)
            break
    else:
        old.others.append(Trait(value, source, at_ms, signal_id))
    return _headed([_bare(old), *old.others], MAX_OTHERS)


def shortened(value: str) -> str:
    """Return a value as it is kept: a longer one ends in an ellipsis, so that nobody takes it for whole."""
    if len(value) * 4 <= MAX_TRAIT_BYTES:  # no character takes more than 4 bytes
        return value
    raw = value.encode()
    return value if len(raw) <= MAX_TRAIT_BYTES else raw[: MAX_TRAIT_BYTES - 3].decode(errors="ignore") + "…"


def _again(trait: Trait, at_ms: int, signal_id: str) -> None:
    trait.times += 1
    trait.at_ms, trait.signal_id = max((trait.at_ms, trait.signal_id), (at_ms, signal_id))


def _bare(trait: Trait) -> Trait:
    return Trait(trait.value, trait.source, trait.at_ms, trait.signal_id, trait.times)


def _newest(trait: Trait) -> tuple[int, str, str]:
    return trait.at_ms, trait.source, trait.value


def _headed(statements: list[Trait], most: int | None = None) -> Trait:
    """Return statements as one trait: the newest, and the others newest first."""
    statements.sort(key=_newest, reverse=True)
    if most is not None and len(statements) > most + 1:
        seen: set[str] = set()
        # What a source said before its newest word goes first; of the newest words the oldest.
        again = [i for i, each in enumerate(statements) if each.source in seen or seen.add(each.source)]  # type: ignore[func-returns-value]  # add returns None
        del statements[again[-1] if again else -1]
    head, *others = statements
    return Trait(head.value, head.source, head.at_ms, head.signal_id, head.times, others)


def unite(traits: Iterable[Trait]) -> Trait:
    """Return what several facets' statements on one trait come to."""
    found: dict[tuple[str, str], Trait] = {}
    for trait in traits:
        for each in (trait, *trait.others):
            old = found.get((each.source, each.value))
            if old is None:
                found[each.source, each.value] = _bare(each)
            else:
                old.times += each.times
                old.at_ms, old.signal_id = max((old.at_ms, old.signal_id), (each.at_ms, each.signal_id))
    return _headed(list(found.values()))


def survivors(traits: dict[str, Trait], rules: Rules) -> dict[str, Trait]:
    """Return the traits with the value that each field's rule lets survive; the newest where none is declared.

    Notes
    -----
    Costs nothing where no rule is declared; else 1 us for each declared field on which sources differ.
    """
    if not rules.fields:
        return traits
    settled = traits
    for name, keep in rules.fields.items():
        trait = traits.get(name)
        if trait is not None and trait.others and keep != "newest":
            if settled is traits:
                settled = dict(traits)
            settled[name] = _settle(trait, keep, rules)
    return settled


def _settle(trait: Trait, keep: Keep, rules: Rules) -> Trait:
    statements = [_bare(trait), *trait.others]
    if keep == "all":
        values = ", ".join(sorted({each.value for each in statements}))
        return Trait(values, trait.source, trait.at_ms, trait.signal_id, trait.times, statements)
    if keep == "trusted":
        winner = max(statements, key=lambda each: (rules.trust.get(each.source, 0), *_newest(each)))
    else:
        times: dict[str, int] = {}
        for each in statements:
            times[each.value] = times.get(each.value, 0) + each.times
        winner = max(statements, key=lambda each: (times[each.value], *_newest(each)))
    others = [each for each in statements if each is not winner]
    return Trait(winner.value, winner.source, winner.at_ms, winner.signal_id, winner.times, others)


def is_contested(trait: Trait) -> bool:
    """Say whether another source's word differs from the one that survived, but for case and space."""
    value = trait.value.strip().casefold()
    return any(each.source != trait.source and each.value.strip().casefold() != value for each in trait.others)
