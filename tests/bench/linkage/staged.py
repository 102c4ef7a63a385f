"""The same stream through the jobs of both stages as a worker runs them, over partitions in memory; links by itself."""

import random
import time
from collections.abc import Callable, Sequence
from itertools import combinations

from schemas.identity_rules import IdentityRules, NearRules
from streams.core.near.cluster import REVIEW
from tests.bench.linkage.stream import TRAITS, Measured, Record
from tests.property.near_cluster import NearCluster


def staged(
    records: Sequence[Record],
    truth: set[tuple[str, str]],
    *,
    partitions: int,
    seen: Callable[[], None] | None = None,
) -> Measured:
    """Let records come by once and count the pairs of one customer; the time is that of both stages."""
    cluster = NearCluster(partitions, IdentityRules({}, near=NearRules(REVIEW, REVIEW)), encoded=False)
    numbers: dict[bytes, str] = {}
    began = time.process_time()
    for at, (number, traits) in enumerate(records):
        stated = {TRAITS[name]: value for name, value in traits.items()}
        numbers[cluster.state(at, ("crm_id", f"c-{number}"), stated)] = number
        cluster.settle(random.Random(at), most=1_000)
        if seen is not None:
            seen()
    took = time.process_time() - began
    found = {
        pair
        for root in cluster.customers()
        for pair in combinations(sorted(numbers[node] for node in root.members if node in numbers), 2)
    }
    right = len(found & truth)
    f1 = 2 * right / (len(found) + len(truth))
    return Measured(right / max(len(found), 1), right / len(truth), f1, took / len(records) * 1e6)
