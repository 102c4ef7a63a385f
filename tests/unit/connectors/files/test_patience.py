"""Asking a broker that has just started."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.files import importer


def test_a_broker_that_is_loading_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first import right after the start of Kafka must not fail because its coordinator is still loading."""
    monkeypatch.setattr(importer, "_ASK_AGAIN_S", 0.0)
    answers = iter([KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR, None])

    def ask() -> str:
        code = next(answers)
        if code is not None:
            raise KafkaException(KafkaError(code))
        return "there"

    assert importer._patiently(ask) == "there"


@pytest.mark.parametrize(
    ("code", "timeout_s"), [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 60.0), (KafkaError.NOT_COORDINATOR, -1.0)]
)
def test_what_does_not_pass_is_told(monkeypatch: pytest.MonkeyPatch, code: int, timeout_s: float) -> None:
    """A refusal at once; a coordinator that never comes after the time-out."""
    monkeypatch.setattr(importer, "_TIMEOUT_S", timeout_s)

    def ask() -> None:
        raise KafkaException(KafkaError(code))

    with pytest.raises(KafkaException):
        importer._patiently(ask)
