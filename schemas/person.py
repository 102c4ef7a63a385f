"""What sources call the traits of a person, and what Sada calls them where people are compared."""

from collections.abc import Mapping

# The first spelling that is there counts; dots and capitals are as doors leave them.
SPELLED: Mapping[str, tuple[str, ...]] = {
    "given_name": ("given_name", "first_name", "firstname", "firstName", "forename"),
    "surname": ("surname", "last_name", "lastname", "lastName", "family_name"),
    "name": ("name", "full_name"),
    "birth_date": ("birth_date", "birthday", "date_of_birth", "birthdate", "dob"),
    "address_1": ("address_1", "address", "street", "address_line1", "address_street", "address.street", "street_name"),
    "address_2": ("address_2", "address_line2", "address2", "address.line2"),
    "house_number": ("house_number", "street_number"),
    "suburb": ("suburb", "city", "town", "address_city", "address.city"),
    "postcode": (
        "postcode", "postal_code", "zip", "zip_code", "address_postal_code", "address.postal_code",
        "address.postalCode", "address_zip", "address.zip",
    ),
    "state": ("state", "province", "region", "address_state", "address.state"),
    "country": ("country", "country_code", "address_country", "address.country"),
    "phone": ("phone", "mobile", "telephone"),
    "email": ("email",),
}  # fmt: skip
_READ = {spelled: (name, rank) for name, several in SPELLED.items() for rank, spelled in enumerate(several)}


def standard(spelled: str) -> str:
    """Return what Sada calls a trait, whatever its source does.

    >>> standard("firstName"), standard("language")
    ('given_name', 'language')
    """
    return _READ[spelled][0] if spelled in _READ else spelled


def person(traits: Mapping[str, str]) -> dict[str, str]:
    """Return a person's traits, by the names of ``SPELLED``; others are left out.

    Examples
    --------
    >>> person({"first_name": "Sara", "zip": "12345", "language": "fa"})
    {'given_name': 'Sara', 'postcode': '12345'}
    """
    found: dict[str, tuple[int, str]] = {}
    for spelled, value in traits.items():
        if spelled in _READ:
            name, rank = _READ[spelled]
            if name not in found or rank < found[name][0]:
                found[name] = (rank, value)
    return {name: value for name, (_, value) in found.items()}
