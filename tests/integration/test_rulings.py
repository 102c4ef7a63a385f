"""Operators' word from end to end, with real processes: signals, rulings, what came of them, profiles and the page."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import build
from tests.peers.gateway import Door, gateway
from tests.peers.processes import environment, started

pytestmark = pytest.mark.kafka

# A worker on a machine that is busy with others answers within so long, in seconds.
_WITHIN_S = 30.0


class Shop:
    """A gateway, a worker and a materialiser."""

    def __init__(self, door: Door, env: dict[str, str]) -> None:
        self.door, self.env = door, env

    def says(self, anonymous: str | None = None, user: str | None = None, email: str | None = None) -> None:
        body = {"anonymousId": anonymous, "userId": user, "traits": {"email": email} if email else {}}
        body["messageId"] = uuid.uuid4().hex
        answer = self.door.post("/v1/identify", body)
        assert answer.status_code == 200, answer.text

    def of(self, kind: str, value: str) -> dict[str, Any]:
        answer = self.door.get(f"/v1/identity/customers/{kind}/{value}", key="agent")
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {"customer": "", "members": []}
        return found

    def members(self, kind: str, value: str) -> set[str]:
        return {member["value"] for member in self.of(kind, value)["members"]}

    def rule(self, kind: str, reason: str, *nodes: tuple[str, str]) -> dict[str, Any]:
        """Rule by the API and return what came of it."""
        named = [{"kind": kind, "value": value} for kind, value in nodes]
        body = {"kind": kind, "one": named[0], "reason": reason} | ({"other": named[1]} if named[1:] else {})
        answer = self.door.post("/v1/identity/rulings", body, key="operator")
        assert answer.status_code == 202, answer.text
        until(lambda: self.door.get(answer.json()["status"], key="agent").json()["state"] != "pending")
        told: dict[str, Any] = self.door.get(answer.json()["status"], key="agent").json()
        return told

    def cli(self, *words: str, monkeypatch: pytest.MonkeyPatch, typed: str = "") -> Any:
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(build(["identity"]), ["identity", *words], input=typed)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def shop(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    folder: Path = tmp_path_factory.mktemp("rulings")
    env = environment(kafka, redis_url, prefix, folder)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(gateway(kafka, redis_url, prefix, folder))
        stack.enter_context(started(env, folder, "worker", "serve"))
        yield Shop(door, env)


@pytest.fixture
def family(shop: Shop) -> str:
    """Two sisters on one tablet, taken for one person: Sara's account, Leila's address; return their mark."""
    mark = uuid.uuid4().hex[:8]
    shop.says(anonymous=f"tablet-{mark}", user=f"sara-{mark}")
    shop.says(anonymous=f"tablet-{mark}", email=f"leila-{mark}@example.com")
    whole = {f"tablet-{mark}", f"sara-{mark}", f"leila-{mark}@example.com"}
    until(lambda: shop.members("user_id", f"sara-{mark}") == whole)
    until(lambda: len(shop.of("user_id", f"sara-{mark}")["ties"]) == 2)
    return mark


def test_a_cut_holds_against_the_same_evidence(shop: Shop, family: str) -> None:
    """The API parts them, the view and the page say who ruled and why, the same signal does not merge them again."""
    tablet, leila = f"tablet-{family}", f"leila-{family}@example.com"
    told = shop.rule("cut", "two sisters share the tablet", ("anonymous_id", tablet), ("email", leila))
    assert (told["state"], [each["kind"] for each in told["outcomes"]]) == ("done", ["split"])
    until(lambda: shop.members("email", leila) == {leila})
    until(lambda: shop.members("user_id", f"sara-{family}") == {f"sara-{family}", tablet})
    shop.says(anonymous=tablet, email=leila)
    shop.says(user=f"sara-{family}", email=f"sara-{family}@example.com")
    until(lambda: f"sara-{family}@example.com" in shop.members("user_id", f"sara-{family}"))
    assert shop.members("email", leila) == {leila}
    query = {"one": f"user_id:sara-{family}", "other": f"email:{leila}"}
    why = shop.door.get("/v1/identity/explain", key="agent", params=query).json()
    assert not why["same_customer"]
    assert [(each["reason"], each["ruling"]["by"]) for each in why["apart"]] == [("cut", "operator")]
    page = shop.door.get(f"/desk/customers/{shop.of('email', leila)['customer']}?lang=en", key="agent").text
    assert "two sisters share the tablet" in page
    assert "an operator parted them" in page


def test_the_command_line(shop: Shop, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows who stays and who leaves, asks, rules, waits; former ids lead to who is there now, parted and merged."""
    tablet, leila = f"anonymous_id:tablet-{family}", f"email:leila-{family}@example.com"
    former = shop.of("email", f"leila-{family}@example.com")["customer"]
    explained = shop.cli("explain", f"user_id:sara-{family}", leila, monkeypatch=monkeypatch)
    assert explained.exit_code == 0, explained.output
    assert "One customer, by 2 links" in explained.output
    assert family not in explained.output
    words = ["cut", tablet, leila, "--reason", "ticket 12", "--by", "maryam"]
    refused = shop.cli(*words, monkeypatch=monkeypatch, typed="n\n")
    assert (refused.exit_code, "leaves:" in refused.output) == (1, True)
    assert len(shop.members("email", f"leila-{family}@example.com")) == 3
    done = shop.cli(*words, "--yes", "--show", monkeypatch=monkeypatch)
    assert done.exit_code == 0, done.output
    assert f"leaves: email leila-{family}@example.com" in done.output
    assert "Split: 1 identifiers" in done.output
    until(lambda: len(shop.members("email", f"leila-{family}@example.com")) == 1)
    again = shop.cli(*words, "--yes", monkeypatch=monkeypatch)
    assert (again.exit_code, "nothing to do" in again.stderr) == (1, True)
    left = shop.of("email", f"leila-{family}@example.com")["customer"]
    assert left != former
    merged = shop.cli("merge", tablet, leila, "--reason", "one after all", "--yes", monkeypatch=monkeypatch)
    assert (merged.exit_code, "Merged:" in merged.output) == (0, True), merged.output
    until(lambda: len(shop.members("email", f"leila-{family}@example.com")) == 3)
    by_former = shop.door.get(f"/v1/customers/id/{left}", key="agent").json()
    assert by_former["customer"] == shop.of("user_id", f"sara-{family}")["customer"]
    ruling = next(word for word in done.output.split() if len(word) == 32 and word.isalnum() and word.islower())
    shown = shop.cli("ruling", ruling, monkeypatch=monkeypatch)
    assert (shown.exit_code, "cut by maryam: ticket 12" in shown.output) == (0, True)


def test_a_split_takes_one_out(shop: Shop, family: str) -> None:
    """What it alone held together falls apart, too; each is found by its own identifier."""
    told = shop.rule("split", "the tablet is the shop's", ("anonymous_id", f"tablet-{family}"))
    assert told["state"] == "done"
    for kind, value in (("user_id", f"sara-{family}"), ("anonymous_id", f"tablet-{family}")):
        until(lambda kind=kind, value=value: shop.members(kind, value) == {value})  # type: ignore[misc]  # bound now
    until(lambda: shop.members("email", f"leila-{family}@example.com") == {f"leila-{family}@example.com"})
    ids = {each["merged"] for each in told["outcomes"]} | {told["outcomes"][0]["customer"]}
    found = {shop.door.get(f"/v1/customers/id/{id_}", key="agent").json()["customer"] for id_ in ids}
    assert found == ids


def test_a_ruling_without_effect_says_why(shop: Shop, family: str) -> None:
    """Void, with the reason."""
    told = shop.rule("release", "it was given to one customer", ("user_id", f"sara-{family}"))
    assert (told["state"], told["outcomes"][0]["reason"]) == ("void", "not-suspended")
    nobody = shop.rule("split", "ticket 15", ("user_id", f"nobody-{family}"))
    assert (nobody["state"], nobody["outcomes"][0]["reason"]) == ("void", "unknown-customer")
