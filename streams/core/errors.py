"""Errors of the core.

::

    CoreError
    ├── SignalError     a signal that Avro takes and we do not: it becomes a dead letter, its partition moves on
    │   └── ErasedError  its customer was erased: the dead letter holds nothing of it
    └── StateError      a customer's state that contradicts itself: a defect of ours or of a foreign writer

Identifiers have their own error, schemas.identifiers.IdentifierError, since the doors need it too.
"""


class CoreError(Exception):
    """Something the core cannot go on with."""


class SignalError(CoreError, ValueError):
    """A signal that cannot be taken.

    Parameters
    ----------
    code : stable, machine-readable, the dead letter's code: ``bad-id``, ``kind-mismatch``, ...
    message : what, where and why, to a person; holds no personal value
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ErasedError(SignalError):
    """A signal of a customer that was erased.

    Parameters
    ----------
    node : the identifier that was erased
    origin : topic/partition/offset at which the signal was accepted
    """

    def __init__(self, node: bytes, origin: str) -> None:
        super().__init__("erased", "its customer was erased: nothing of it is taken or kept")
        self.node = node
        self.origin = origin


class StateError(CoreError):
    """A customer's state that contradicts itself; the message names the part."""
