"""Who owns a node: the partition that murmur2 of its key says, as every Kafka client computes it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

# Nodes whose partition is remembered, which takes 4 us to find: 250 bytes each, so at most 13 MB a worker.
_REMEMBERED = 50_000


class Owner:
    """Says which of so many partitions owns a node.

    Parameters
    ----------
    partitions : of every topic that the customers agent reads
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

        @lru_cache(maxsize=_REMEMBERED)
        def partition_of(node: bytes) -> int:
            return int(murmur2(node) & 0x7FFFFFFF) % partitions

        self.partition_of = partition_of
