"""The vault keeps wrapped secrets, small, and opens none with another seal key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.errors import PositionError
from streams.lane.packed_map import PackedMap
from streams.lane.position import POSITION_KEY
from streams.lane.vault import ROLL, ROLL_KEY, SealKey, Vault

KEY = SealKey(b"k" * 32)


def test_a_secret_comes_back_as_long_as_it_is_there() -> None:
    vault = Vault(KEY, "vault[0]")
    secret, wrapped = vault.make()
    assert vault.secret(b"a") is None
    vault.write({b"a": wrapped, ROLL_KEY: ROLL, POSITION_KEY: None}, 4)
    assert (vault.secret(b"a"), b"a" in vault, len(vault), vault.offset) == (secret, True, 1, 4)
    vault.write({b"a": None}, 5)
    assert (vault.secret(b"a"), b"a" in vault, len(vault)) == (None, False, 0)


def test_secrets_are_random_and_never_lie_open() -> None:
    vault = Vault(KEY, "vault[0]")
    made = [vault.make() for _ in range(100)]
    assert len({secret for secret, _ in made}) == 100
    assert not any(secret in wrapped or wrapped in secret for secret, wrapped in made)


def test_another_seal_key_is_noticed() -> None:
    vault, other = Vault(KEY, "vault[0]"), Vault(SealKey(b"l" * 32), "vault[3]")
    other.check()
    other.write({b"a": vault.make()[1]}, 1)
    with pytest.raises(PositionError, match=r"vault\[3\]: the secret of key 61 cannot be unwrapped.*SADA_SEAL_KEY"):
        other.check()


def test_a_record_that_is_no_secret_is_named() -> None:
    with pytest.raises(PositionError, match=r"vault\[0\]: the record of key 61 has 3 bytes"):
        Vault(KEY, "vault[0]").write({b"a": b"abc"}, 1)


def test_a_million_secrets_cost_sixty_three_bytes_each() -> None:
    vault = Vault(KEY, "vault[0]")
    vault.write({b"%016d" % number: b"w" * 40 for number in range(83_333)}, 1)
    table = vault._wrapped._packed
    assert table is not None
    assert (len(table._rows) + 4 * len(table._index)) / 83_333 < 64


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"cc", b"", b"dd"]),
            st.one_of(st.none(), st.binary(max_size=5)),
        )
    )
)
def test_packed_map_is_a_dict(steps: list[tuple[bytes, bytes | None]]) -> None:
    packed, plain = PackedMap(5), dict[bytes, bytes]()
    for key, value in steps:
        if value is None:
            packed.pop(key)
            plain.pop(key, None)
        else:
            packed.set(key, value)
            plain[key] = value
        assert len(packed) == len(plain)
        assert dict(packed.items()) == plain
        assert packed.get(key) == plain.get(key)
        assert (key in packed) == (key in plain)
        assert packed.present([b"a", b"cc", b"dd"]) == [each for each in (b"a", b"cc", b"dd") if each in plain]
