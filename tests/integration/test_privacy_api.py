"""The privacy API against a real broker and a real Redis: who may, what lies in Kafka then, and what is told."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from connectors.serve.keys import ViewKeys, outcome_field, profile_json, record_json
from schemas.identifiers import Hasher, normalise
from tests.peers.gateway import NODE_KEY, Door, gateway
from tests.peers.people import profile

pytestmark = pytest.mark.kafka

_hasher = Hasher(bytes.fromhex(NODE_KEY))
EMAIL = {"kind": "email", "value": "SARA@example.com"}
ERASE = {"identifier": EMAIL, "reason": "her request, ticket 4711"}


def _node(kind: str, value: str) -> bytes:
    return _hasher.node(normalise(kind, value))


SARA = _node("email", "sara@example.com")


class People:
    """A gateway and a view with one customer."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.redis = redis.Redis.from_url(door.redis)
        self.keys = ViewKeys(door.prefix)
        member = {"node": SARA, "kind": "email", "value": "sara@example.com", "since_ms": 1, "signal_id": "s1"}
        member |= {"source": "shop", "original": "Sara@Example.com", "suspended_at_ms": 0, "cuts": []}
        self.view = profile(1, members=[member])
        self.show()

    def show(self) -> None:
        self.redis.set(self.keys.profile(self.view["customer"]), profile_json(self.view))
        self.redis.set(self.keys.node(SARA), self.view["customer"].hex())


@pytest.fixture(scope="module")
def people(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("privacy")) as door:
        found = People(door)
        yield found
        found.redis.close()


def test_an_erasure_is_in_kafka_when_answered(people: People) -> None:
    """Under its node, by the key's name; what came of it is told, with what is left where until when."""
    answer = people.door.post("/v1/privacy/erasures", ERASE, key="privacy")
    assert answer.status_code == 202
    made = answer.json()
    assert made["status"] == answer.headers["Location"] == f"/v1/privacy/erasures/{made['id']}"
    (ruling,) = people.door.rulings(lambda r: bool(r["id"] == made["id"]))
    assert (ruling["key"], ruling["node"], ruling["other"], ruling["kind"]) == (SARA, SARA, b"", "erase")
    assert (ruling["reason"], ruling["by"]) == ("her request, ticket 4711", "privacy")
    told = people.door.get(made["status"], key="privacy").json()
    assert (told["state"], told["outcomes"]) == ("pending", [])
    days = {place["place"]: (place["gone_at_ms"] - ruling["at_ms"]) / 86_400_000 for place in told["places"]}
    assert 30 < days["signals.*"] < 31.1
    assert 14 < days["dead-letters"] < 15.1
    assert days["Redis, state stores"] == 0
    assert made["places"][0]["place"] == told["places"][0]["place"]
    merge = {"kind": "erased", "customer": SARA, "merged": SARA, "reason": "ruling", "at_ms": 9, "nodes": [SARA]}
    field = outcome_field(merge)
    key = people.keys.ruling(made["id"])
    people.redis.hset(key, field, record_json({**merge, "signal_id": "", "ruling": made["id"]}).decode())
    told = people.door.get(made["status"], key="admin").json()
    assert (told["state"], told["outcomes"][0]["nodes"]) == ("done", [SARA.hex()])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad-json"),
        ([], 400, "not-an-object"),
        ({}, 400, "bad-identifier"),
        ({**ERASE, "kind": "erase"}, 400, "unknown-field"),
        ({**ERASE, "identifier": "email:sara@example.com"}, 400, "bad-identifier"),
        ({**ERASE, "identifier": {"kind": "email", "value": "no address"}}, 400, "bad-identifier"),
        ({**ERASE, "identifier": {"node": "xyz"}}, 400, "bad-identifier"),
        ({"identifier": EMAIL}, 400, "bad-reason"),
        ({**ERASE, "reason": 7}, 400, "bad-reason"),
        ({**ERASE, "reason": "sara@example.com wants it"}, 400, "personal-reason"),
        ({**ERASE, "reason": "x" * 9_000}, 413, "too-large"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_kept(people: People, body: Any, status: int, code: str) -> None:
    answer = people.door.post("/v1/privacy/erasures", body, key="privacy")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "sara@" not in answer.text


def test_an_operator_of_identity_cannot_erase(people: People) -> None:
    """Not by the door of rulings either: erasing is a right of its own."""
    assert people.door.post("/v1/privacy/erasures", ERASE, key="operator").status_code == 403
    ruling = {"kind": "erase", "one": EMAIL, "reason": "by the other door"}
    answer = people.door.post("/v1/identity/rulings", ruling, key="admin")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-kind")


def test_who_was_erased_is_gone_at_every_door(people: People) -> None:
    """410: not unknown, erased. By its identifiers and by its former id."""
    people.redis.delete(people.keys.profile(people.view["customer"]), people.keys.node(SARA))
    assert people.door.get("/v1/customers/email/sara@example.com", key="agent").status_code == 404
    for node in (SARA, people.view["customer"]):
        people.redis.set(people.keys.erased(node), "r1")
    for path in (
        "/v1/customers/email/sara@example.com",
        f"/v1/customers/id/{people.view['customer'].hex()}",
        "/v1/identity/customers/email/sara@example.com",
    ):
        answer = people.door.get(path, key="agent")
        assert (answer.status_code, answer.json()["code"]) == (410, "erased")
    page = people.door.get(f"/desk/customers/{people.view['customer'].hex()}?lang=fa", key="agent")
    assert page.status_code == 410
    assert "پاک شده" in page.text
    gone = people.door.post("/v1/privacy/exports", {"identifier": EMAIL}, key="privacy")
    assert gone.status_code == 410
