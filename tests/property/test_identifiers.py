"""Normalisation: whatever comes in, a text that spells itself or an IdentifierError; equal spellings meet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identifiers import KINDS, MAX_VALUE, Blocked, Form, Forms, IdentifierError, normalise
from schemas.spelling import EmailForm

FOLDING = Forms(
    kinds={**Forms().kinds, "user_id": Form("id", "fold"), "national_id": Form("digits")},
    email=EmailForm(gmail_dots=False, tags="drop"),
    region="IR",
    blocked={"*": Blocked(globs=("*zz*z?",))},
)
TEXTS = (
    st.text(max_size=60)
    | st.text("+.@0۱٢aßİﬀ ext\u200f-;xn", max_size=40)
    | st.emails()
    | st.from_regex(r"\+?[0-9 ]{5,16}")
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([*KINDS, "national_id", "x"]), TEXTS, st.sampled_from([Forms(), FOLDING]))
def test_a_spelling_spells_itself(kind: str, text: str, forms: Forms) -> None:
    """Nothing but IdentifierError is raised, and what was normalised stays."""
    try:
        found = normalise(kind, text, forms=forms)
    except IdentifierError:
        return
    assert normalise(kind, found.value, forms=forms) == (kind, found.value, "")
    assert 0 < len(found.value) <= MAX_VALUE + 20
    assert found.value.isprintable()


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("phone", "0912 345 6789", "۰۹۱۲۳۴۵۶۷۸۹"),
        ("phone", "+98 912 345 6789", "\u202a٠٩١٢٣٤٥٦٧٨٩\u202c"),
        ("email", "S.Ara+shop@GoogleMail.com", "sara@gmail.com"),
        ("email", "a@bücher.example", "A@xn--bcher-kva.example"),
        ("user_id", "ＵＳＲ۱۲\u200c", "usr12"),
        ("national_id", "۰۰۱-234 567.8", "0012345678"),
    ],
)
def test_equal_spellings_meet(kind: str, one: str, other: str) -> None:
    """Capitals, alphabets of digits, Gmail's dots and tags, copied marks."""
    assert normalise(kind, one, forms=FOLDING)[:2] == normalise(kind, other, forms=FOLDING)[:2]


def test_by_default_little_is_removed() -> None:
    """Dots, tags and the capitals of ids count; an extension tells people of a company apart."""
    assert normalise("email", "S.Ara+x@gmail.com").value == "s.ara+x@gmail.com"
    assert normalise("user_id", "U1").value == "U1"
    assert normalise("phone", "+49 30 123456 ext. 7").value == "+4930123456;ext=7"


def test_blocked_by_glob_and_never_shown() -> None:
    """A blocked value is refused, and its text is in no message."""
    with pytest.raises(IdentifierError, match="names nobody") as caught:
        normalise("crm_id", "aZZ1z2", forms=FOLDING)
    assert caught.value.code == "blocked"
    assert "1z2" not in str(caught.value).lower()
