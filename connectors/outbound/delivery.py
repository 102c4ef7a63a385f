"""One action on its way: what a connector is given, and what a connector is."""

from dataclasses import dataclass
from typing import Literal, Protocol

from connectors.outbound.errors import PermanentError
from connectors.outbound.templates import TemplateError, render, render_line
from schemas.views import ActionView


@dataclass(frozen=True, slots=True)
class Delivery:
    """An action with its place in Kafka.

    Parameters
    ----------
    action : what to do
    topic, partition, offset : where it lies
    recorded_at_ms : when the broker recorded it, wall time
    key, value : its raw bytes, for a dead letter
    """

    action: ActionView
    topic: str
    partition: int
    offset: int
    recorded_at_ms: int
    key: bytes | None
    value: bytes

    def now_ms(self, wall_ms: int) -> int:
        """Return the stream time at a moment of wall time, epoch ms.

        An action is decided in stream time, which a replay or a simulation sets. From the moment that the broker
        recorded it, stream time is taken to pass as wall time does.
        """
        return stream_now_ms(self.action["decided_at_ms"], self.recorded_at_ms, wall_ms)


def stream_now_ms(decided_at_ms: int, recorded_at_ms: int, wall_ms: int) -> int:
    """Return the stream time at a moment of wall time, given one moment known in both; never before it."""
    return decided_at_ms + max(0, wall_ms - recorded_at_ms)


class Connector(Protocol):
    """Carries actions to one channel.

    ``in_doubt`` says what to do with an action that may have been sent before a crash: ``resend`` where the
    receiver knows repeats by their id, ``drop`` where it does not. ``lease_s`` is longer than any send takes.
    """

    in_doubt: Literal["drop", "resend"]
    lease_s: float

    async def send(self, delivery: Delivery) -> str | None:
        """Deliver an action; return the peer's words for the outcome's detail.

        Raises
        ------
        DeliveryError
            see connectors/outbound/errors.py; nothing else
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def rendered(action: ActionView) -> tuple[str, str]:
    """Return an action's subject and body.

    Raises
    ------
    PermanentError
        bad-template, when either cannot be rendered: nothing is sent half-rendered
    """
    try:
        return render_line(action["subject"], action["params"]), render(action["body"], action["params"])
    except TemplateError as exc:
        raise PermanentError(
            "bad-template", f"template of {action['action']}/{action['treatment']}/{action['language']}: {exc}"
        ) from exc
