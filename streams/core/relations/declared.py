"""Which relations there are, and the groups that a facet's traits put it in.

A group is named by a keyed hash of what its members have in common, as ``schemas.names`` compares it: Persian and
Arabic spellings, capitals and titles no longer matter, and no key tells a surname or an address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas import names
from streams.core.facet_state import Trait

HOUSEHOLD: Final = "household"
ACCOUNT: Final = "account"
REFERRED_BY: Final = "referred_by"
# What a referrer sees of those who name it.
REFERRALS: Final = "referrals"
# A condition and the page know each by name, so there are no others.
KINDS: Final = (HOUSEHOLD, ACCOUNT, REFERRED_BY)

_SURNAME = ("surname", "last_name", "lastname", "lastName", "family_name")


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation.

    Parameters
    ----------
    kind : one of ``KINDS``
    same : fields that members have in common, each a tuple of traits of which the first that is there counts
    identifier : kind of identifier that the single field names another customer by; "" where none is named
    """

    kind: str
    same: tuple[tuple[str, ...], ...]
    identifier: str = ""


# A street alone is in every town, so a household needs the town's name or postcode as well.
DEFAULT_RELATIONS: Final = (
    Relation(
        HOUSEHOLD,
        (
            _SURNAME,
            ("address", "address_1", "street", "address_line1", "address_street", "address.street"),
            ("postcode", "postal_code", "zip", "address.postal_code", "address.postalCode", "city", "address.city"),
        ),
    ),
    Relation(ACCOUNT, (("company", "company_name", "organisation", "organization", "company.name"),)),
)


class Wanted(NamedTuple):
    """A group that a facet belongs to: ``of`` is the identifier's node that it names; b"" in a household or account.

    ``said`` is the newest trait that says so: the evidence.
    """

    kind: str
    of: bytes
    said: Trait


def wanted(
    traits: Mapping[str, Trait],
    relations: tuple[Relation, ...],
    group_of: Callable[[str, str], bytes],
    node_of: Callable[[str, str], bytes | None],
) -> dict[bytes, Wanted]:
    """Return the groups that a facet's traits put it in.

    Parameters
    ----------
    traits : of one facet
    group_of : kind of relation and what is in common, to the group's node
    node_of : kind and value of an identifier to its node; None where it can be none

    Notes
    -----
    1 us where there are no such traits.
    """
    found: dict[bytes, Wanted] = {}
    for relation in relations:
        stated = [_first(traits, field) for field in relation.same]
        said = [(name, trait) for name, trait in stated if trait is not None]
        if len(said) < len(relation.same):
            continue
        newest = max((trait for _, trait in said), key=lambda trait: (trait.at_ms, trait.signal_id))
        if relation.identifier:
            of = node_of(relation.identifier, said[0][1].value)
            if of is not None:
                found[group_of(relation.kind, of.hex())] = Wanted(relation.kind, of, newest)
            continue
        plain = [_plain(name, trait.value) for name, trait in said]
        if all(plain):
            found[group_of(relation.kind, "\0".join(plain))] = Wanted(relation.kind, b"", newest)
    return found


def _first(traits: Mapping[str, Trait], field: tuple[str, ...]) -> tuple[str, Trait | None]:
    for name in field:
        if name in traits:
            return name, traits[name]
    return "", None


def _plain(name: str, value: str) -> str:
    return names.name(value) if name in _SURNAME else names.plain(value)
