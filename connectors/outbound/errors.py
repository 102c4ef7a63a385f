"""What can go wrong with a delivery, as the engine sees it. Connectors map their libraries' errors to these, once.

::

    DeliveryError
    ├── TransientError   nothing was delivered and another try may help: waits, then tries again
    ├── PermanentError   nothing was delivered and no try will help: dead letter, outcome failed or bounced
    └── InDoubtError     it may have been delivered: the channel's in_doubt policy decides
"""

from typing import Literal


class DeliveryError(Exception):
    """A delivery that did not succeed; ``code`` is stable, the message is for a person and holds no personal value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TransientError(DeliveryError):
    """Worth another try, not before ``retry_after_s`` when the peer said so."""

    def __init__(self, code: str, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class PermanentError(DeliveryError):
    """Not worth another try; ``event`` is the outcome to record."""

    def __init__(self, code: str, message: str, *, event: Literal["failed", "bounced"] = "failed") -> None:
        super().__init__(code, message)
        self.event = event


class InDoubtError(DeliveryError):
    """The peer may have taken it and may not."""
