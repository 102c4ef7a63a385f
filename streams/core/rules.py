"""The rules of the golden record, declared in rules.yaml: which value of a field survives, and what a signal must keep.

Pure and frozen; read and checked by ``rules_check``. Without a file nothing is declared and nothing is asked: the
newest value of a field survives, every signal that ``validate.check`` takes counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.identifiers import KNOWN_KINDS
from schemas.views import Signal
from streams.core.errors import SignalError
from streams.core.relations.declared import DEFAULT_RELATIONS, Relation

Keep = Literal["newest", "trusted", "frequent", "all"]
KEEPS: tuple[Keep, ...] = ("newest", "trusted", "frequent", "all")
Then = Literal["quarantine", "flag"]

# What an agent needs to help and to reach somebody; ``|`` names alternatives, identifiers and traits alike.
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "email": 2.0,
    "phone": 2.0,
    "name|first_name|last_name": 2.0,
    "city": 1.0,
    "country": 1.0,
    "language|locale": 1.0,
    "time_zone": 1.0,
}

# True when the signal breaks the rule.
Breaks = Callable[[Signal], bool]


@dataclass(frozen=True, slots=True)
class SignalRule:
    """One rule on signals.

    Parameters
    ----------
    name : stable; part of the dead letter's code and of metrics
    where : fields of the envelope and the values that they must have for the rule to be asked
    breaks : says whether a signal breaks it
    then : quarantine makes a dead letter of the signal, flag only counts
    says : the rule in words, without any value of a customer
    """

    name: str
    where: tuple[tuple[str, str], ...]
    breaks: Breaks
    then: Then
    says: str

    def is_broken(self, signal: Mapping[str, Any]) -> bool:
        """Say whether the rule is asked of a signal and broken by it."""
        for key, value in self.where:
            if signal[key] != value:
                return False
        return self.breaks(signal)  # type: ignore[arg-type]  # a Signal; by name its fields are any


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of the golden record.

    Parameters
    ----------
    fields : which value of a trait survives; those that are not named keep the newest
    trust : source to rank, the higher the more trusted; a source that is not named has rank 0
    weights : of the completeness score, by field; alternatives with ``|``
    signals : rules on signals, in the order of the file
    relations : between customers
    known : kinds of identifiers that tell a person, not only a browser (``known`` of identity.yaml)
    """

    fields: Mapping[str, Keep] = field(default_factory=dict)
    trust: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    signals: tuple[SignalRule, ...] = ()
    known: frozenset[str] = KNOWN_KINDS
    relations: tuple[Relation, ...] = DEFAULT_RELATIONS

    def broken(self, signal: Signal, then: Then) -> Iterator[SignalRule]:
        """Yield the rules of one consequence that a signal breaks."""
        return (rule for rule in self.signals if rule.then == then and rule.is_broken(signal))

    def admit(self, signal: Signal, broken: list["Broken"]) -> None:
        """Refuse a signal that a rule quarantines: it must not touch a customer.

        Parameters
        ----------
        signal : checked (validate.check)
        broken : where the violation is noted

        Raises
        ------
        SignalError
            ``quality-<rule>``, in the rule's own words
        """
        if not self.signals:
            return
        for rule in self.broken(signal, "quarantine"):
            broken.append(Broken(rule.name, signal["source"], signal["channel"], "quarantine"))
            raise SignalError(f"quality-{rule.name}", rule.says)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a signal broke, as metrics count it."""

    rule: str
    source: str
    channel: str
    then: Then


NO_RULES = Rules()
