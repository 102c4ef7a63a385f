"""A chosen treatment as the complete action that a channel delivers: language, address, templates and their values."""

from collections.abc import Mapping
from typing import Any

from schemas.views import ActionView, DecisionView
from streams.core.catalogue import Catalogue, Param, Text
from streams.core.eligibility import Option
from streams.core.moment import MISSING, Missing, Moment
from streams.core.view import GoldenRecord

# Longest value of a parameter, characters: a name, an item's title. Traits are written by anybody.
MAX_VALUE = 200

# Invisible, but part of how Persian and many Indian scripts are spelled: zero-width non-joiner and joiner.
_JOINERS = "\u200c\u200d"

# Minor units per unit where it is not 100 (ISO 4217); the rial's are not in use.
_MINOR = {
    **dict.fromkeys(("IRR", "JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "PYG"), 1),
    **dict.fromkeys(("KWD", "BHD", "OMR", "JOD", "TND", "IQD", "LYD"), 1000),
}


def message_of(
    decision: DecisionView, action_id: str, option: Option, moment: Moment, catalogue: Catalogue
) -> ActionView:
    """Return the action that a channel needs nothing else to deliver."""
    action, treatment, address = option
    record = moment.record
    text = text_of(treatment.texts, languages_of(record, moment), catalogue.policy.language)
    return {
        "id": action_id,
        "decision_id": decision["id"],
        "customer": decision["customer"],
        "action": action.id,
        "treatment": treatment.id,
        "channel": treatment.channel,
        "purpose": action.purpose,
        "language": text.language,
        "address": address,
        "subject": text.subject,
        "body": text.body,
        "params": {param.name: value_of(param, moment, catalogue.currency) for param in action.params},
        "decided_at_ms": decision["decided_at_ms"],
        "expires_at_ms": decision["decided_at_ms"] + action.expiry_ms,
    }


def languages_of(record: GoldenRecord, moment: Moment) -> tuple[str, ...]:
    """Return the customer's languages, the surest first: what was stated, then what the browser says."""
    return (record.trait("language"), record.trait("locale"), moment.signal["context"].get("locale") or "")


def text_of(texts: Mapping[str, Text], languages: tuple[str, ...], default: str) -> Text:
    """Return the text in the first language that there is: as it is, then without its region, then the default.

    Examples
    --------
    >>> texts = {"fa": Text("fa", "", "سلام"), "en": Text("en", "", "Hello")}
    >>> text_of(texts, ("fa-IR",), "en").language, text_of(texts, ("de",), "en").language
    ('fa', 'en')
    """
    for language in (*languages, default):
        lowered = language.lower().replace("_", "-")
        found = texts.get(lowered) or texts.get(lowered.partition("-")[0])
        if found is not None:
            return found
    return next(iter(texts.values()))


def value_of(param: Param, moment: Moment, currency: str) -> str:
    """Return a parameter's value as text: bounded, without control characters, the default when there is none."""
    value: Any = MISSING if param.read is None else param.read(moment)
    if isinstance(value, Missing):
        return param.default
    if param.money:
        return amount(round(value), moment.record.value.currency or currency)
    if isinstance(value, float):
        return f"{value:g}"
    text = "".join(c if c.isprintable() or c in _JOINERS else " " for c in str(value)[:MAX_VALUE]).strip()
    return text or param.default


def amount(minor: int, currency: str) -> str:
    """Return an amount in minor units as people read it.

    Examples
    --------
    >>> amount(123456, "EUR"), amount(123456, "IRR"), amount(-5, "USD")
    ('1,234.56 EUR', '123,456 IRR', '-0.05 USD')
    """
    units = _MINOR.get(currency, 100)
    digits = {1: 0, 100: 2, 1000: 3}[units]
    return f"{minor / units:,.{digits}f} {currency}"
