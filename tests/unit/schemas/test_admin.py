"""How a topic of the table is configured in the broker."""

import pytest

from schemas import topics
from schemas.admin import config_of
from schemas.topics import DAY_MS, HOUR_MS, TOPICS


@pytest.mark.parametrize(
    ("name", "lag_ms"),
    [
        (topics.VAULT, HOUR_MS),
        (topics.CUSTOMERS_CHANGELOG, DAY_MS),
        (topics.NEAR_VAULT, HOUR_MS),
        (topics.NEAR_CHANGELOG, DAY_MS),
        (topics.PROFILES, DAY_MS),
        (topics.IDENTITIES, DAY_MS),
    ],
)
def test_what_is_personal_is_cleaned_within_a_stated_time(name: str, lag_ms: int) -> None:
    """A segment ends before the lag does: one that is written to is never cleaned."""
    config = config_of(TOPICS[name])
    assert config["cleanup.policy"] == "compact"
    assert int(config["max.compaction.lag.ms"]) == lag_ms
    assert int(config["segment.ms"]) <= lag_ms // 2


def test_the_vault_lies_beside_the_changelog() -> None:
    vault, changelog = TOPICS[topics.VAULT], TOPICS[topics.CUSTOMERS_CHANGELOG]
    assert (vault.partitioning, vault.key) == (changelog.partitioning, changelog.key)
