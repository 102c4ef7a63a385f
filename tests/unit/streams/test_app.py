"""What a worker insists on before it starts."""

import pytest
from pydantic import SecretStr

from streams.agents import customers
from streams.app import lane_config
from streams.lane.topology import check_stages
from streams.settings import Settings, SettingsError
from tests.bench import stages


def test_a_worker_without_a_seal_key_does_not_start() -> None:
    """It would write customers in the open, or, after a restart without it, open none of them."""
    with pytest.raises(SettingsError, match=r"SADA_SEAL_KEY is not set.*openssl rand -hex 32"):
        lane_config(Settings(seal_key=None))
    with pytest.raises(SettingsError, match="SADA_SEAL_KEY has 31 bytes"):
        lane_config(Settings(seal_key=SecretStr("5a" * 31)))


def test_with_one_it_seals_every_customer() -> None:
    config = lane_config(Settings(seal_key=SecretStr("5a" * 32)))
    assert config.seal_key == b"Z" * 32
    assert "5a5a" not in repr(config)
    assert "ZZZZ" not in repr(config)
    stage = customers.stage(stages.job(), max_batch=10)
    assert (stage.vault, bool(stage.words)) == ("customers-vault", True)
    check_stages([stage], seal_key=config.seal_key)
