"""The rules of identity: which identifiers there are, which of them may tie, and how many make one customer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from schemas.identifiers import DEFAULT, KINDS, KNOWN_KINDS, Forms, Identifier, normalise, strongest

DAY_MS = 86_400_000

# Two accounts or two CRM entries are two people. A person has a few addresses, numbers and cards, several devices,
# and a new anonymous id with every browser and every cleared cookie; beyond these it is a shared machine or a bot.
DEFAULT_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "user_id": 1,
        "crm_id": 1,
        "loyalty_id": 2,
        "email": 5,
        "phone": 5,
        "device_id": 10,
        "anonymous_id": 50,
    }
)

# All identifiers of a customer together: what the limits above add up to, and one. It bounds a customer's state, and so
# the largest record that travels when two become one; kinds without a limit of their own count here, too.
MOST_MEMBERS = 75


class Bound(NamedTuple):
    """How many customers one value may tie: more than ``above`` within ``window_ms`` suspend it."""

    above: int
    window_ms: int


# A family shares a number, an address and a tablet, and a cleared cookie is a new customer until the next sign-in:
# beyond so many strangers within a day a value is a till's, a call centre's or a placeholder. Accounts and entries of
# a CRM name one person by definition: who meets there is kept apart by limits, not by this.
DEFAULT_SUSPENSION: Mapping[str, Bound] = MappingProxyType(
    {
        "loyalty_id": Bound(10, DAY_MS),
        "email": Bound(10, DAY_MS),
        "phone": Bound(10, DAY_MS),
        "device_id": Bound(20, DAY_MS),
        "anonymous_id": Bound(20, DAY_MS),
    }
)


class SourceTrust(NamedTuple):
    """How far a source is believed.

    Parameters
    ----------
    link : its signals may tie identifiers to one another; what they say of each still counts
    rank : when two sources differ, the one with the lower rank is believed
    """

    link: bool = True
    rank: int = 100


_OTHERS = SourceTrust()


class NearRules(NamedTuple):
    """When customers are told to be near matches.

    Parameters
    ----------
    review : probability of one person from which a person is asked; above 0, below 1
    automatic : probability from which they are linked without one, None: never; at least ``review``
    """

    review: float = 0.5
    automatic: float | None = None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules of merging.

    Parameters
    ----------
    limits : most identifiers per kind and customer, at least 1; a kind that is not named has no limit
    priority : kinds, strongest first: a signal belongs to the strongest identifier that it names
    known : kinds that name a person rather than a browser or a device
    suspension : per kind, how many customers one value may tie; a kind that is not named is never suspended
    links : kinds that may tie customers at all; the others name one only by themselves
    sources : trust by the name of a signal's source
    others : trust of sources that are not named
    forms : how identifiers are spelled, and which name nobody
    members : most identifiers of all kinds together
    near : near matches; None: nobody looks for them, and nothing is spent on them

    Raises
    ------
    ValueError
        for a kind that does not exist, one without a rank, or a limit below 1
    """

    limits: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_LIMITS))
    priority: tuple[str, ...] = KINDS
    known: frozenset[str] = KNOWN_KINDS
    suspension: Mapping[str, Bound] = field(default_factory=lambda: dict(DEFAULT_SUSPENSION))
    links: frozenset[str] = frozenset(KINDS)
    sources: Mapping[str, SourceTrust] = field(default_factory=dict)
    others: SourceTrust = _OTHERS
    forms: Forms = DEFAULT
    members: int = MOST_MEMBERS
    near: NearRules | None = None
    ranks: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", {kind: rank for rank, kind in enumerate(self.priority)})
        if set(self.ranks) != set(self.forms.kinds):
            raise ValueError("identity priority: each kind that has a form stands there, and no other")
        for kind in sorted(self.links | self.known | self.suspension.keys()):
            if kind not in self.ranks:
                raise ValueError(f"identity rules: kind {kind!r} is not one of {', '.join(self.priority)}")
        for kind, limit in self.limits.items():
            if kind not in self.priority:
                raise ValueError(f"identity limits: kind {kind!r} is not one of {', '.join(self.priority)}")
            if limit < 1:
                raise ValueError(f"identity limits: {kind} is {limit}; a customer has at least 1")

    def suspends(self, kind: str) -> Bound | None:
        """Return how many customers one value of a kind may tie, None: any number."""
        return self.suspension.get(kind)

    def normalise(self, kind: str, value: str, region: str | None = None) -> Identifier:
        """Return an identifier in the form of these rules; see ``schemas.identifiers.normalise``.

        Raises
        ------
        IdentifierError
        """
        return normalise(kind, value, region=region, forms=self.forms)

    def strongest(self, identifiers: Iterable[Identifier]) -> Identifier:
        """Return the identifier that a signal belongs to.

        Raises
        ------
        ValueError
            when there is none
        """
        return strongest(identifiers, self.ranks)

    def may_link(self, kind_a: str, kind_b: str, source: str) -> bool:
        """Say whether a source's signal may tie an identifier of one kind to one of another."""
        return kind_a in self.links and kind_b in self.links and self.trust(source).link

    def trust(self, source: str) -> SourceTrust:
        """Return how far a source is believed."""
        return self.sources.get(source, self.others)
