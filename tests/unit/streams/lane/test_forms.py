"""Every value comes back from its form; a sealed one only by its own secret, under its own key, unharmed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.errors import FormError
from streams.lane.forms import SEAL_BYTES, Forms, find_zstd, is_sealed

SECRET = b"s" * 32
LONG = b"".join(b"[product_viewed, web, sku-%d]" % number for number in range(20))
KEYS = st.binary(max_size=20)


def lessons(count: int, seed: int = 0) -> list[bytes]:
    return [
        b"".join(b"[product_viewed, web, sku-%d, https://shop.example/]" % (n * m % 97) for m in range(3, 3 + n % 25))
        for n in range(seed, seed + count)
    ]


@pytest.fixture(scope="module")
def words() -> bytes:
    trained: bytes = find_zstd().train_dict(lessons(400), 4_096).dict_content
    return trained


@given(KEYS, st.one_of(st.binary(max_size=90), st.integers(0, 40).map(lambda n: LONG * n)))
def test_a_value_comes_back(key: bytes, raw: bytes) -> None:
    forms = Forms()
    plain, sealed = forms.plain(raw), forms.sealed(key, raw, SECRET)
    assert forms.open(key, plain, None) == raw
    assert forms.open(key, sealed, SECRET) == raw
    assert (is_sealed(plain), is_sealed(sealed)) == (False, True)
    assert len(plain) <= len(raw) + 1
    assert len(sealed) <= len(raw) + SEAL_BYTES


@given(st.binary(min_size=1), st.integers(0, 7), st.data())
def test_a_sealed_value_opens_only_unharmed(raw: bytes, bit: int, data: st.DataObject) -> None:
    """Any bit that is another, the mark's included, any other key, any other secret: it is refused, never misread."""
    forms = Forms()
    sealed = bytearray(forms.sealed(b"key", raw, SECRET))
    for key, secret in ((b"other", SECRET), (b"key", b"t" * 32), (b"key", None)):
        with pytest.raises(FormError):
            forms.open(key, bytes(sealed), secret)
    place = data.draw(st.integers(1, len(sealed) - 1))
    sealed[place] ^= 1 << bit
    with pytest.raises(FormError, match="does not open it"):
        forms.open(b"key", bytes(sealed), SECRET)
    sealed[place] ^= 1 << bit
    sealed[0] ^= 1
    with pytest.raises(FormError, match="does not open it"):
        forms.open(b"key", bytes(sealed), SECRET)


@pytest.mark.parametrize("length", range(2, SEAL_BYTES))
def test_a_sealed_value_that_is_cut_is_refused(length: int) -> None:
    with pytest.raises(FormError):
        Forms().open(b"key", Forms().sealed(b"key", b"", SECRET)[:length], SECRET)


def test_no_two_seals_are_alike() -> None:
    """With a nonce that repeats, two values under one secret would give away what differs between them."""
    forms = Forms()
    assert len({forms.sealed(b"key", b"same", SECRET) for _ in range(1_000)}) == 1_000


def test_nothing_of_the_value_is_seen() -> None:
    assert b"product" not in Forms().sealed(b"key", b"product_viewed", SECRET)


@pytest.mark.parametrize("raw", [b"", b"\x92\xa1a\xc4", b'{"v":1}', b"\x83\xa1a\x01"])
def test_a_value_from_before_there_were_forms_is_as_it_was(raw: bytes) -> None:
    assert Forms().open(b"key", raw, None) == raw
    assert not is_sealed(raw)


def test_a_dictionary_saves_half(words: bytes) -> None:
    with_words, without = Forms([words]), Forms()
    values = lessons(100, seed=1_000)
    packed = [with_words.plain(raw) for raw in values]
    assert [with_words.open(b"", value, None) for value in packed] == values
    assert sum(map(len, packed)) < 0.6 * sum(len(without.plain(raw)) for raw in values)


def test_values_of_an_older_dictionary_are_read(words: bytes) -> None:
    """The newest dictionary squeezes; each frame names its own."""
    newer: bytes = find_zstd().train_dict(lessons(300, seed=50), 2_048).dict_content
    old, both = Forms([words]), Forms([newer, words])
    value = lessons(1, seed=24)[0]
    assert both.open(b"", old.plain(value), None) == value
    assert both.plain(value) != old.plain(value)
    with pytest.raises(FormError, match="cannot be unsqueezed"):
        old.open(b"", both.plain(value), None)


def test_damaged_frames_are_named() -> None:
    with pytest.raises(FormError, match="cannot be unsqueezed"):
        Forms().open(b"", b"\x01 no frame", None)
