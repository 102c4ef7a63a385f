"""Rate limits by token bucket: per key in events, per address in requests and in failed log-ins.

They live in this process's memory: with n gateways behind a balancer a sender has n times the rate. That protects
each process, which is what they are for; a quota per customer of ours belongs to the key's agreement.
"""

from collections import OrderedDict

# A sender may use the rate of so many seconds at once: SDKs flush what they gathered.
BURST_S = 10.0

# Addresses remembered; the one unseen for longest goes first. 20,000 cost about 4 MB.
_REMEMBERED = 20_000


class Buckets:
    """Token buckets by name.

    Parameters
    ----------
    burst_s : how many seconds' worth may come at once
    """

    def __init__(self, burst_s: float = BURST_S) -> None:
        self._burst_s = burst_s
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, cost: float, rate: float, now_s: float) -> float:
        """Take tokens and return 0; or take none and return after how many seconds there will be enough.

        What costs more than a whole bucket passes when the bucket is full, and leaves a debt.

        Parameters
        ----------
        cost : tokens
        rate : tokens a second
        now_s : monotonic
        """
        full = rate * self._burst_s
        level, at = self._levels.pop(name, (full, now_s))
        level = min(full, level + (now_s - at) * rate)
        wanted = min(cost, full)
        short = wanted - level
        if short <= 0:
            level -= cost
        self._levels[name] = (level, now_s)
        if len(self._levels) > _REMEMBERED:
            self._levels.popitem(last=False)
        return short / rate if short > 0 else 0.0

    def empty(self, name: str, rate: float, now_s: float) -> bool:
        """Say whether a bucket has no token left, taking none."""
        found = self._levels.get(name)
        return found is not None and found[0] + (now_s - found[1]) * rate < 1.0
