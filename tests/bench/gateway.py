"""(d) Events per second and core of the gateway, one by one and in batches of a hundred.

What counts is the gateway's own CPU time: client, broker and gateway share this machine's cores, and a client's share
must not count. The wall rate stands beside it in the details.
"""

import secrets
from typing import Any

from rich.console import Console

from deploy.local.services import redis_running
from tests.bench import rig
from tests.bench.rig import spread
from tests.peers.load import Load, run

BATCH = 100
# So many connections keep the gateway busy: the broker's acknowledgement takes some 5 ms.
CLIENTS = 64
# Events sent singly before anything counts, and ten times as many in batches: what is paid once is no event's price.
WARM_UP = 500


def measure(console: Console, *, single: int, batched: int, runs: int) -> dict[str, Any]:
    """Send events in both ways, in turn.

    Returns
    -------
    single_per_s, batched_per_s: events per second of the gateway's CPU time; and the wall rates under ``details``
    """
    found: dict[str, list[Load]] = {"single": [], "batched": []}
    key = secrets.token_urlsafe(24)
    with (
        rig.broker() as (bootstrap, folder),
        redis_running(folder) as redis,
        rig.fresh(bootstrap, folder, "gateway.").gateway(redis, key) as (port, pid),
    ):
        for batch, clients in ((0, CLIENTS), (BATCH, CLIENTS // 8)):
            run(port, pid, key, events=WARM_UP * max(1, batch // 10), batch=batch, clients=clients)
        for number in range(runs):
            found["single"].append(run(port, pid, key, events=single, batch=0, clients=CLIENTS))
            found["batched"].append(run(port, pid, key, events=batched, batch=BATCH, clients=CLIENTS // 8))
            console.print(
                f"gateway, run {number + 1}: "
                + ", ".join(
                    f"{way} {loads[-1].per_core:,.0f} events/s of a core ({loads[-1].per_second:,.0f} on the clock)"
                    for way, loads in found.items()
                )
            )
    return {
        **{f"{way}_per_s": spread([load.per_core for load in loads]) for way, loads in found.items()},
        "details": {f"{way}_wall_per_s": spread([load.per_second for load in loads]) for way, loads in found.items()},
    }
