"""When keys are due, as their changelog's records say."""

from streams.lane.due import NEVER, headers_of, noted, to_bytes

AT_MS = 1_700_000_000_000


def test_the_last_record_of_a_key_counts() -> None:
    """A tombstone or an empty header: never; no header, or another's only: not known, whatever was before."""
    told = [
        (b"timed", b"v", [("due", to_bytes(AT_MS))]),
        (b"never", b"v", [("due", b"")]),
        (b"moved", b"v", [("due", to_bytes(1))]),
        (b"moved", b"v", [("x", b"y"), ("due", to_bytes(AT_MS))]),
        (b"gone", b"v", [("due", to_bytes(1))]),
        (b"gone", None, None),
        (b"old", b"v", [("due", to_bytes(1))]),
        (b"old", b"v", [("x", b"y")]),
        (b"older", b"v", None),
    ]
    assert noted(*zip(*told, strict=True)) == {
        b"timed": to_bytes(AT_MS),
        b"never": NEVER,
        b"moved": to_bytes(AT_MS),
        b"gone": NEVER,
    }


def test_what_is_written_is_what_is_noted() -> None:
    due = {b"a": to_bytes(AT_MS), b"b": NEVER, b"c": to_bytes(-1)}
    headers = [list(headers_of(key, b"v", due)) for key in due]
    assert noted(due, [b"v"] * 3, headers) == due
    assert headers_of(b"d", b"v", due) == ()
