"""The dictionaries with which customers' state is squeezed: files of this folder, see ``tests/bench/words.py``.

State lies in the changelog as it is squeezed, so every dictionary that a deployment ever wrote with is needed to read
it: one is never changed or removed, a better one gets the next number.
"""

import re
from pathlib import Path

_NAME = re.compile(r"state-(\d+)\.zdict")


def state_words() -> tuple[bytes, ...]:
    """Return all dictionaries, the newest first: it squeezes, all of them unsqueeze."""
    found = {int(name[1]): path for path in Path(__file__).parent.iterdir() if (name := _NAME.fullmatch(path.name))}
    return tuple(path.read_bytes() for _, path in sorted(found.items(), reverse=True))
