"""What is left after an erasure, and until when, as it is told."""

from connectors.privacy.places import in_words, places, told
from schemas.admin import config_of
from schemas.topics import DAY_MS, TOPICS
from streams.settings import Settings


def test_every_topic_that_may_hold_something_is_told() -> None:
    """Each topic is in the table, but those that hold nothing of a person, or are kept for ever by design."""
    named = [place.place for place in places(Settings().kept_ms())]
    nothing = {"ticks", "models", "catalogue", "merges", "rulings", "matches", "generations", "learners-changelog"}
    for topic in TOPICS:
        group = f"{topic.split('.')[0]}.*" if topic.startswith(("signals.", "actions.")) else topic
        assert (group in named) != (topic in nothing), topic


def test_what_is_told_is_what_the_broker_does() -> None:
    """Only whole segments are deleted: the last record goes its segment's time after the retention."""
    kept = Settings(signals_days=3).kept_ms()
    config = config_of(TOPICS["signals.web"], retention_ms=kept["signals"])
    gone = next(place.gone_after_ms for place in places(kept) if place.place == "signals.*")
    assert gone >= int(config["retention.ms"]) + int(config["segment.ms"])
    assert gone < int(config["retention.ms"]) + 1.1 * DAY_MS
    profiles = config_of(TOPICS["profiles"])
    gone = next(place.gone_after_ms for place in places(kept) if place.place == "profiles")
    assert int(profiles["max.compaction.lag.ms"]) <= gone <= 1.1 * DAY_MS


def test_moments_count_from_the_erasure() -> None:
    (first, *_, last) = told(Settings().kept_ms(), 1_000)
    assert first["gone_at_ms"] - 1_000 == places(Settings().kept_ms())[0].gone_after_ms
    assert last["gone_at_ms"] == 1_000


def test_durations_in_words() -> None:
    assert [in_words(ms) for ms in (0, 40 * 60_000, 3_600_000, DAY_MS, 31 * DAY_MS)] == [
        "at once",
        "40 minutes",
        "1 hour",
        "1 day",
        "31 days",
    ]
