"""The parts of delivery that need no network: configuration, ledger, tokens, waits, letters, times."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.files.located import FileError
from connectors.outbound.channels import DEFAULTS, load, secret_text
from connectors.outbound.courier import FIRST_WAIT_S, LONGEST_WAIT_S, wait_s
from connectors.outbound.delivery import Delivery
from connectors.outbound.errors import PermanentError, TransientError
from connectors.outbound.ledger import Ledger
from connectors.outbound.letter import Letter, compose, serialise
from connectors.outbound.outcomes import outcome_id
from connectors.outbound.smtp import recipient, refusal
from connectors.outbound.tracking import Links, Token, TokenError, seal, tracking_key, unseal
from tests.peers.delivery import action

KEY = tracking_key(b"k" * 32)


def delivery(**fields: Any) -> Delivery:
    view = action(1, **fields)
    return Delivery(view, "actions.email", 0, 0, 1_000, None, b"")


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("channels:\n  fax: {kind: smtp}\n", 2, "channels.fax", "not a channel"),
        ("channels:\n  email:\n    kind: pigeon\n", 3, "channels.email.kind", "must be one of smtp"),
        ("channels:\n  web: {kind: inbox, colour: red}\n", 2, "channels.web", "colour"),
        (
            "channels:\n  email:\n    kind: smtp\n    host: h\n    port: 99999\n    from_address: a@b\n",
            5,
            "channels.email.port",
            "65535",
        ),
        (
            "channels:\n  webhook:\n    kind: webhook\n    endpoints:\n      x:\n        url: https://u:p@h/\n",
            6,
            "channels.webhook.endpoints.x.url",
            "no user or password",
        ),
        (
            "channels:\n  webhook:\n    kind: webhook\n    endpoints:\n      x: {url: 'https://h/'}\n",
            5,
            "channels.webhook.endpoints.x",
            "secret_env or secret_file",
        ),
        ("channels:\n  web: {kind: inbox}\n  web: {kind: inbox}\n", 3, "channels.web", "given twice, first on line 2"),
        ("channels: &a\n  web: *a\n", 2, "", "aliases are not taken"),
        ("channels: [\n", 2, "", ""),
        ("other: 1\n", 1, "the file", "one mapping named channels"),
        ("", 1, "", "empty"),
    ],
)
def test_a_bad_channels_file_is_refused_by_line_and_field(
    tmp_path: Path, text: str, line: int, field: str, says: str
) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load(path)
    message = str(caught.value)
    if text:
        assert message.startswith(f"{path}:{line}:"), message
    assert field in message
    assert says in message


def test_all_faults_of_a_file_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text("channels:\n  web: {kind: inbox, most: 0}\n  app: {kind: inbox, keep_s: x}\n")
    with pytest.raises(FileError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 2


def test_without_a_file_the_inbox_works() -> None:
    assert load(None) == dict(DEFAULTS)
    assert set(DEFAULTS) == {"web", "app"}


def test_secrets_are_read_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", " s3cret ")
    (tmp_path / "s").write_text("from-file\n")
    assert secret_text(env="HOOK", file=None, what="x") == "s3cret"
    assert secret_text(env=None, file=str(tmp_path / "s"), what="x") == "from-file"
    for env, file in (("NOT_SET_ANYWHERE", None), (None, str(tmp_path / "none"))):
        with pytest.raises(FileError):
            secret_text(env=env, file=file, what="x")


@given(st.permutations(range(12)), st.integers(0, 12))
def test_a_commit_never_passes_an_unfinished_record(order: list[int], finished: int) -> None:
    """Whatever the order of finishing, with gaps between the offsets."""
    offsets = [n * 3 for n in range(12)]
    ledger = Ledger()
    ledger.assign([0])
    for offset in offsets:
        ledger.take(0, offset)
    for index in order[:finished]:
        ledger.finish(0, offsets[index])
    unfinished = [offsets[i] for i in order[finished:]]
    done = list(itertools.takewhile(lambda o: o not in unfinished, offsets))
    expected = {} if not done else {0: min(unfinished) if unfinished else offsets[-1] + 1}
    assert ledger.committable() == expected


def test_a_revoked_partition_is_forgotten() -> None:
    ledger = Ledger()
    ledger.assign([0, 1])
    ledger.take(0, 5)
    ledger.revoke([0])
    ledger.finish(0, 5)
    ledger.take(0, 6)
    assert ledger.committable() == {}
    assert (ledger.owns(0), ledger.owns(1)) == (False, True)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_waits_grow_and_are_bounded(attempt: int, draw: float, asked: float) -> None:
    wait = wait_s(attempt, draw=draw, retry_after_s=asked)
    assert FIRST_WAIT_S / 2 <= wait <= LONGEST_WAIT_S
    assert wait >= min(asked, LONGEST_WAIT_S)


@given(st.binary(max_size=80), st.integers(0, 10**6))
def test_only_our_tokens_open(noise: bytes, place: int) -> None:
    """Any byte changed, any other key, any noise: refused with one error."""
    token = Token("c", "a" * 32, "win_back", "email", "marketing", b"n" * 16, 5, 6, 2, "https://shop.example/x")
    text = seal(KEY, token)
    assert unseal(KEY, text) == token
    position = place % len(text)
    changed = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
    for forged in (noise.decode("latin-1"), text[:-4], text + "AAAA", "", "é"):
        with pytest.raises(TokenError):
            unseal(KEY, forged)
    with pytest.raises(TokenError):
        unseal(b"x" * 32, text)
    if position < len(text) - 1:  # the last character's low bits may be padding
        with pytest.raises(TokenError):
            unseal(KEY, changed)


@pytest.mark.parametrize(
    ("code", "words", "of_recipient", "kind", "event"),
    [
        (451, "4.7.1 greylisted", True, TransientError, None),
        (550, "5.1.1 <sara@x.y> no such user", True, PermanentError, "bounced"),
        (550, "5.2.1 mailbox disabled", True, PermanentError, "bounced"),
        (550, "no such user", True, PermanentError, "bounced"),
        (550, "5.7.1 policy", True, PermanentError, "failed"),
        (552, "5.3.4 too big", True, PermanentError, "failed"),
        (550, "5.1.8 bad sender", False, PermanentError, "failed"),
        (421, "closing", False, TransientError, None),
    ],
)
def test_what_a_relay_means(code: int, words: str, of_recipient: bool, kind: type, event: str | None) -> None:
    error = refusal(code, words, of_recipient=of_recipient)
    assert type(error) is kind
    assert getattr(error, "event", None) == event
    assert "sara" not in str(error)


@pytest.mark.parametrize(
    "address",
    [None, "", "x", "a@b", "a@b.c\r\nRCPT TO:<x@y.z>", "a b@c.de", "سارا@shop.example", "a@@b.cd", "@b.cd", "a" * 400],
)
def test_addresses_that_cannot_be_used(address: str | None) -> None:
    with pytest.raises(PermanentError) as caught:
        recipient(address)
    assert "sara" not in str(caught.value)


def test_addresses_that_can() -> None:
    assert recipient("Sara+x@Shop.Example") == "Sara+x@Shop.Example"
    assert recipient("sara@bücher.example") == "sara@xn--bcher-kva.example"


def test_a_letter_is_plain_ascii_on_the_wire_and_inert() -> None:
    """Long links stay whole, hostile values are text, nothing is longer than a line may be."""
    letter = Letter(
        delivery=delivery(language="en"),
        sender="Shop <a@shop.test>",
        reply_to=None,
        to="sara@shop.example",
        subject="Hi <b>",
        body='<script>alert(1)</script> javascript:alert(1) https://x.example/?a=1&b="><img>\n\nsecond',
        unsubscribe_mailto="leave@shop.test",
    )
    message = compose(letter, Links("https://sada.example/", KEY))
    raw = serialise(message)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"=?utf-8?q?=3Chttps" not in raw.lower()
    assert raw.isascii()
    page = message.get_body(("html",))
    assert page is not None
    content = page.get_content()
    assert "<script" not in content
    assert "<img>" not in content
    assert content.count("<a href=") == 2  # the offer and unsubscribe
    assert message["List-Unsubscribe"].endswith("<mailto:leave@shop.test?subject=unsubscribe>")


def test_stream_time_goes_on_with_wall_time_and_never_back() -> None:
    sent = delivery(decided_at_ms=50)
    assert sent.now_ms(1_000) == 50
    assert sent.now_ms(1_700) == 750
    assert sent.now_ms(400) == 50


def test_an_outcomes_id_fits_and_tells_events_apart() -> None:
    ids = {outcome_id(a, e, p) for a in ("a" * 32, "b" * 120) for e in ("opened", "clicked") for p in ("", "1")}
    assert len(ids) == 8
    assert max(map(len, ids)) <= 100
