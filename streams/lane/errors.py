"""Errors of the lane.

::

    LaneError
    ├── TopologyError      topics and stages do not fit together: an operator must act
    ├── PositionError      the state and its sources tell different stories (a topic was recreated)
    ├── TransactionError   Kafka refused the transaction: this process must end, another takes over
    │   └── FencedError    another worker owns the partition now
    ├── OversizeError      a record's outputs are larger than a message may be: that record's fault
    ├── StoreError         the local store cannot be used
    └── FormError          a value of the changelog cannot be unsealed or unsqueezed; told on as a PositionError
"""


class LaneError(Exception):
    """Something the lane cannot go on with; the message says what, where and what to do."""


class TopologyError(LaneError):
    """A topic is missing, or the topics of a stage do not fit together."""


class PositionError(LaneError):
    """A position lies beyond the end of its source topic, or a position record cannot be read."""


class TransactionError(LaneError):
    """A transaction could not be opened, committed or aborted: the process ends and is started again."""


class FencedError(TransactionError):
    """Another worker opened this partition's producer: what this one had in flight was refused by the broker."""


class OversizeError(LaneError):
    """An output or a changed value is larger than the producer may send: the record that caused it is to blame."""


class StoreError(LaneError):
    """The local store cannot be opened or does not belong to this partition."""


class FormError(LaneError):
    """A value cannot be brought back from its form: it is damaged, or its key's secret is gone or another."""
