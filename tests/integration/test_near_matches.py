"""Near matches from end to end, with real processes: two spellings, a question, a person's word, and what holds."""

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

# 35 s alone; the machine may be busy with others.
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

# A worker on a machine that is busy with others answers within so long, in seconds.
_WITHIN_S = 40.0
# What would be asked is asked within so long: half a second of gathering, twice, and the way to the view.
_NEVER_S = 4.0


class Shop:
    """A gateway and a materialiser; workers come and go."""

    def __init__(self, door: Door, env: dict[str, str]) -> None:
        self.door, self.env = door, env

    def says(self, traits: dict[str, Any], *, user: str = "", email: str = "") -> None:
        """Let somebody fill in a form."""
        body: dict[str, Any] = {"anonymousId": uuid.uuid4().hex, "messageId": uuid.uuid4().hex, "traits": dict(traits)}
        if user:
            body["userId"] = user
        if email:
            body["traits"]["email"] = email
        answer = self.door.post("/v1/identify", body)
        assert answer.status_code == 200, answer.text

    def customer(self, kind: str, value: str) -> str:
        answer = self.door.get(f"/v1/identity/customers/{kind}/{value}", key="agent")
        return str(answer.json()["customer"]) if answer.status_code == 200 else ""

    def reviews(self) -> list[dict[str, Any]]:
        answer = self.door.get("/v1/identity/reviews", key="operator")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["reviews"]
        return found

    def about(self, *users: str) -> list[dict[str, Any]]:
        """Return the questions on these people."""
        known = {self.customer("user_id", user) for user in users}
        return [each for each in self.reviews() if set(each["customers"]) == known]

    def cli(self, *words: str, monkeypatch: pytest.MonkeyPatch, typed: str = "") -> Any:
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", "200")
        return CliRunner().invoke(build(["identity"]), ["identity", *words], input=typed)

    @contextlib.contextmanager
    def working(self, folder: Path, near: str) -> Iterator[None]:
        """Run a worker with these rules of near matches."""
        rules = folder / "identity.yaml"
        rules.write_text(f"version: 1\nnear: {near}\n")
        with started({**self.env, "SADA_IDENTITY": str(rules)}, folder, "worker"):
            yield


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def shop(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    folder: Path = tmp_path_factory.mktemp("near")
    env = environment(kafka, redis_url, prefix, folder)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(gateway(kafka, redis_url, prefix, folder))
        stack.enter_context(started(env, folder, "serve"))
        yield Shop(door, env)


def _form(given: str, family: str, born: str, street: str, code: str) -> dict[str, Any]:
    address = {"street": street, "city": "Portfairy", "postalCode": code}
    return {"firstName": given, "lastName": family, "birthday": born, "address": address}


CHARLOTTE = _form("Charlotte", "Harrington", "1984-05-12", "12 Mill Lane", "12345")
CHARLOTE = _form("Charlote", "Harington", "1984-05-12", "12 Mill Lane", "12354")
MARYAM = _form("مریم", "رضایی", "1990-02-03", "7 Azadi Street", "54321")
MARYAM_TOO = _form("Maryam", "Rezaei", "1990-02-03", "7 Azadi Street", "54312")


def test_a_question_its_answers_and_what_holds(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same: one customer, a cut holds; different: never asked again; both after a restart, and with automatic links."""
    with shop.working(tmp_path, "{review: 0.5, automatic: off}"):
        shop.says(CHARLOTTE, user="c-1")
        shop.says(CHARLOTE, user="c-2")
        shop.says(MARYAM, user="m-1")
        shop.says(MARYAM_TOO, user="m-2")
        until(lambda: bool(shop.about("c-1", "c-2")) and bool(shop.about("m-1", "m-2")))
        _looked_at(shop, monkeypatch)
        _answered_same(shop)
        _answered_different(shop, monkeypatch)
        _said_again(shop, "first")
    with shop.working(tmp_path, "{review: 0.5, automatic: 0.9}"):
        _said_again(shop, "second")
        _linked_by_itself(shop)


def _looked_at(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue by the API, by the command line and on the 360 page; agents may look at people, not answer."""
    (asked,) = shop.about("c-1", "c-2")
    assert asked["match"] > 0.5
    assert asked["limit"] == "user_id"
    agreement = {row["name"]: row["agreement"] for row in asked["traits"]}
    assert (agreement["birth_date"], agreement["surname"], agreement["given_name"]) == ("same", "near", "near")
    listed = shop.cli("review", "--list", monkeypatch=monkeypatch)
    assert listed.exit_code == 0, listed.output
    assert asked["id"] in listed.output
    page = shop.door.get(f"/desk/customers/{shop.customer('user_id', 'c-1')}?lang=en", key="agent").text
    assert "Perhaps the same person as" in page
    assert "Charlote Harington" in page
    for path in ("/v1/identity/reviews", f"/v1/identity/reviews/{asked['id']}", "/desk/reviews"):
        assert shop.door.get(path, key="agent").status_code == 403
        assert shop.door.get(path, key="read").status_code in {303, 403}
        assert shop.door.get(path, key="operator").status_code == 200


def _answered_same(shop: Shop) -> None:
    """One customer; cut again, they are two and are not proposed again."""
    (asked,) = shop.about("c-1", "c-2")
    path = f"/v1/identity/reviews/{asked['id']}"
    assert shop.door.post(path, {"same": "yes", "reason": "ticket 1"}, key="operator").status_code == 400
    assert shop.door.post(path, {"same": True, "reason": "ticket 1"}, key="agent").status_code == 403
    answer = shop.door.post(path, {"same": True, "reason": "passport seen, ticket 1"}, key="operator")
    assert answer.status_code == 202, answer.text
    until(lambda: shop.customer("user_id", "c-1") == shop.customer("user_id", "c-2"))
    told = shop.door.get(answer.json()["status"], key="operator").json()
    assert (told["state"], told["kind"], told["by"]) == ("done", "merge", "operator")
    until(lambda: shop.door.get(path, key="operator").status_code == 404)
    one, other = ({"kind": "user_id", "value": user} for user in ("c-1", "c-2"))
    body = {"kind": "cut", "one": one, "other": other, "reason": "twins after all, ticket 2"}
    assert shop.door.post("/v1/identity/rulings", body, key="operator").status_code == 202
    until(lambda: shop.customer("user_id", "c-1") != shop.customer("user_id", "c-2"))


def _answered_different(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command line, both ways: asked one by one, and by the id."""
    (asked,) = shop.about("m-1", "m-2")
    shown = shop.cli("review", "--reason", "ticket 3", monkeypatch=monkeypatch, typed="s\n")
    assert shown.exit_code == 0, shown.output
    assert "رضایی" in shown.output
    words = ["review", "--answer", asked["id"], "different"]
    refused = shop.cli(*words, "--reason", "call 09123456789", monkeypatch=monkeypatch)
    assert (refused.exit_code, "name the ticket" in refused.stderr) == (1, True)
    done = shop.cli(*words, "--reason", "two sisters-in-law, ticket 3", "--by", "maryam", monkeypatch=monkeypatch)
    assert (done.exit_code, "Told apart" in done.output) == (0, True), done.output
    again = shop.cli(*words, "--reason", "ticket 3", monkeypatch=monkeypatch)
    assert (again.exit_code, "settled already" in again.stderr) == (1, True)


def _said_again(shop: Shop, company: str) -> None:
    """Both pairs say something new, so that their cards meet again: nobody is asked, and nobody linked."""
    for user, form in (("c-2", CHARLOTE), ("m-2", MARYAM_TOO)):
        shop.says({**form, "mobile": "5551234567" if company == "first" else "5557654321"}, user=user)
    time.sleep(_NEVER_S)
    assert shop.reviews() == []
    assert shop.customer("user_id", "c-1") != shop.customer("user_id", "c-2")
    assert shop.customer("user_id", "m-1") != shop.customer("user_id", "m-2")


def _linked_by_itself(shop: Shop) -> None:
    """Two addresses of one person are linked, as by a signal, and it shows why."""
    oliver = _form("Oliver", "Whitaker", "1971-11-23", "44 Orchard Road", "77123")
    shop.says(oliver, email="oliver.whitaker@example.com")
    until(lambda: bool(shop.customer("email", "oliver.whitaker@example.com")))
    shop.says(oliver, email="oliver.whitacker@example.com")
    until(
        lambda: (
            shop.customer("email", "oliver.whitaker@example.com")
            == shop.customer("email", "oliver.whitacker@example.com")
            != ""
        )
    )
    query = {"one": "email:oliver.whitaker@example.com", "other": "email:oliver.whitacker@example.com"}
    why = shop.door.get("/v1/identity/explain", key="agent", params=query).json()
    assert [tie["source"] for tie in why["chain"]] == ["near-match"]
