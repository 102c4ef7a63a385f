"""Trains the dictionary with which customers' state is squeezed: ``python -m tests.bench.words NUMBER``.

From made-up people only: a dictionary holds pieces of what it was trained on, and this one lies in the repository. It
is written to ``streams/agents/state-NUMBER.zdict``. A worker squeezes with the highest number and reads all: never
change or remove one that any deployment has written with; a frame names its dictionary by id.
"""

import sys
from pathlib import Path

from deploy.local.running import ROOT
from streams.lane.forms import Forms, find_zstd
from tests.bench import people, rig
from tests.bench.traffic import traffic

FOLDER = ROOT / "streams" / "agents"
# Others than those with which the benches measure, by number and by seed.
FIRST = people.FIRST + 9_000
SEED = 99
PEOPLE = 600
SIGNALS_PER_CUSTOMER = 30
# 8 KiB: squeezes 5,030 bytes to 1,690 on the mean, 32 KiB to 1,689, and all of it stays in a core's first cache.
DICTIONARY_BYTES = 8_192
# 2026-01-01: the same for every training, so that the same code makes the same dictionary.
START_MS = 1_767_225_600_000


def lessons(*, first: int = FIRST, seed: int = SEED, count: int = PEOPLE) -> list[bytes]:
    """Return encoded customers."""
    sent = traffic(
        count,
        start_ms=START_MS,
        hasher=rig.hasher(),
        per_customer=SIGNALS_PER_CUSTOMER,
        waves=3,
        seed=seed,
        first=first,
    )
    found = people.fold(sent)
    return [person.records[root] for person in found for root in person.roots]


def main(number: int) -> None:
    """Train, write and say what it saves.

    Raises
    ------
    FileExistsError
        when there is one of this number: it may have been written with
    """
    zstd = find_zstd()
    words: bytes = zstd.train_dict(lessons(), DICTIONARY_BYTES).dict_content
    path: Path = FOLDER / f"state-{number}.zdict"
    with path.open("xb") as file:
        file.write(words)
    others = lessons(first=FIRST - 1_000, seed=SEED + 1, count=PEOPLE // 4)
    for name, forms in (("plain", Forms()), ("with it", Forms([words]))):
        mean = sum(len(forms.plain(raw)) for raw in others) / len(others)
        sys.stdout.write(f"{name}: {mean:,.0f} bytes of {sum(map(len, others)) / len(others):,.0f}\n")
    sys.stdout.write(f"written to {path}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
