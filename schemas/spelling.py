"""How identifiers are spelled: each kind's text in the one form in which it is compared. Pure.

Equal spellings meet: capitals, Persian and Arabic digits, full-width letters, invisible marks that come along when
people copy from a page. Whatever comes in, the answer is a text that spells itself, or an IdentifierError.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email

Case = Literal["keep", "fold"]
How = Literal["id", "digits", "email", "phone"]

# Longest identifier taken, characters; e-mail's own limit is 254.
MAX_VALUE = 256

_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")

# Marks without a shape: zero-width spaces and joiners, directions, the soft hyphen, the byte order mark. A number that
# was copied from a page in Persian carries them, and nobody sees why it is another customer's.
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))
)

# What people put between the digits of a number that is digits only.
_BETWEEN = str.maketrans("", "", " -./")

# A text is spelled again until it spells itself: twice is the most that was seen; what needs more is no identifier.
_MOST_PASSES = 4

_GMAIL = frozenset({"gmail.com", "googlemail.com"})


class IdentifierError(ValueError):
    """An identifier that cannot be used; ``code`` is stable, the message says what and why, never the value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class EmailForm:
    """The key by which e-mail addresses match; the address as it was written is kept beside it.

    Parameters
    ----------
    case : fold: capitals count nowhere, as at every large provider. keep: they count before the @, as RFC 5321 has it
    gmail_dots : the dots in an address at Gmail count, and googlemail.com is not gmail.com
    tags : keep: sara+shop@ is another than sara@. drop: it is the same
    """

    case: Case = "fold"
    gmail_dots: bool = True
    tags: Literal["keep", "drop"] = "keep"


def cleaned(kind: str, value: str) -> str:
    """Return a value without outer space and invisible marks, NFKC, its digits 0 to 9.

    Raises
    ------
    IdentifierError
        empty, too-long or bad-characters
    """
    if value.isascii():
        text = value.strip()
    else:
        text = unicodedata.normalize("NFKC", value.translate(_INVISIBLE)).translate(_DIGITS).strip()
    if not text:
        raise IdentifierError("empty", f"{kind} is empty")
    if len(text) > MAX_VALUE:
        raise IdentifierError("too-long", f"{kind} has {len(text)} characters; at most {MAX_VALUE} are taken")
    if not text.isprintable():
        raise IdentifierError("bad-characters", f"{kind} holds control characters")
    return text


def as_written(value: str) -> str:
    """Return a value as its source wrote it, without outer space and invisible marks."""
    return value.strip() if value.isascii() else value.translate(_INVISIBLE).strip()


def spell_id(text: str, kind: str, case: Case) -> str:
    """Return an id, its capitals folded where its kind says so."""
    return text if case == "keep" else _settled(lambda t: unicodedata.normalize("NFKC", t.casefold()), text, kind)


def spell_digits(text: str, kind: str) -> str:
    """Return the digits of a number: a national id, a card.

    Raises
    ------
    IdentifierError
        bad-digits, when there is anything but digits and what people put between them
    """
    digits = text.translate(_BETWEEN)
    if not (digits.isascii() and digits.isdigit()):
        raise IdentifierError("bad-digits", f"{kind} holds more than digits")
    return digits


def spell_email(text: str, form: EmailForm) -> str:
    """Return an address's matching key; its domain as it stands in DNS (punycode). Nothing is looked up.

    Raises
    ------
    IdentifierError
        bad-email
    """
    if text.isascii() and form.tags == "keep" and form.gmail_dots:  # spells itself, and that costs 40 us once only
        return _email(text, form)
    return _settled(partial(_email, form=form), text, "email")


def spell_phone(text: str, region: str | None, take: Literal["possible", "valid"]) -> str:
    """Return a number as E.164; with an extension, ``;ext=`` and its digits: not everybody at a company is one person.

    Parameters
    ----------
    region : ISO 3166, of numbers without a country code
    take : possible: of a length that its country has. valid: of a range that is assigned, as of the library's release

    Raises
    ------
    IdentifierError
        bad-phone
    """
    return _settled(partial(_phone, region=region, take=take), text, "phone")


def _settled(spell: Callable[[str], str], text: str, kind: str) -> str:
    """Return a spelling that spells itself: whoever reads what we wrote gets the same node."""
    for _ in range(_MOST_PASSES):
        spelled = spell(text)
        if spelled == text:
            return spelled
        text = spelled
    raise IdentifierError("bad-characters", f"{kind} has no spelling that stays the same")


def _email(text: str, form: EmailForm) -> str:
    if len(text) > 254:
        raise IdentifierError("bad-email", "email has more than 254 characters")
    try:
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:  # its message quotes parts of the address
        raise IdentifierError("bad-email", "email is not of the form name@domain") from None
    except (UnicodeError, ValueError, IndexError):  # what the IDNA tables make of broken punycode
        raise IdentifierError("bad-email", "email has a domain that cannot be read") from None
    local, domain = found.local_part, (found.ascii_domain or "").lower()
    if "." not in domain:
        raise IdentifierError("bad-email", "email has a domain without a dot")
    if form.case == "fold":
        local = unicodedata.normalize("NFC", local.casefold())
    if form.tags == "drop":
        local = local.partition("+")[0].rstrip(".") or local
    if not form.gmail_dots and domain in _GMAIL:
        domain = "gmail.com"
        before, plus, tag = local.partition("+")
        local = (before.replace(".", "") or before) + plus + tag
    return f"{local}@{domain}"


def _phone(text: str, region: str | None, take: str) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as exc:
        hint = "; without a country code it needs a region" if region is None and not text.startswith("+") else ""
        code = phonenumbers.NumberParseException
        why = "has no country code that exists" if exc.error_type == code.INVALID_COUNTRY_CODE else "is no number"
        raise IdentifierError("bad-phone", f"phone {why}{hint}") from None
    if not phonenumbers.is_possible_number(number):
        raise IdentifierError("bad-phone", "phone has an impossible length for its country")
    if take == "valid" and not phonenumbers.is_valid_number(number):
        raise IdentifierError("bad-phone", "phone lies in no range that its country has assigned")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164};ext={number.extension}" if number.extension else e164
