"""The identity API against a real broker and a real Redis: who may look, who may rule, and what lies in Kafka then."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis
import requests

from connectors.gateway import keys
from connectors.serve.keys import RULING_LASTS_S, ViewKeys, outcome_field, profile_json, record_json
from schemas.identifiers import Hasher, normalise
from tests.peers.gateway import NODE_KEY, Door, gateway
from tests.peers.people import profile

pytestmark = pytest.mark.kafka

_hasher = Hasher(bytes.fromhex(NODE_KEY))
SARA, LEILA = (1).to_bytes(16, "big"), (2).to_bytes(16, "big")


def _node(kind: str, value: str) -> bytes:
    return _hasher.node(normalise(kind, value))


def _member(kind: str, value: str, **fields: Any) -> dict[str, Any]:
    told = {"node": _node(kind, value), "kind": kind, "value": value, "since_ms": 1, "signal_id": "s1"}
    return {**told, "source": "shop", "original": "", "suspended_at_ms": 0, "cuts": [], **fields}


MEMBERS = [_member("user_id", "sara-1042"), _member("email", "sara@example.com", original="Sara@Example.com")]
TIES = [{"one": MEMBERS[0]["node"], "other": MEMBERS[1]["node"], "signal_id": "t1", "source": "shop", "at_ms": 3}]
OTHERS = [_member("user_id", "leila-77"), _member("phone", "+989123456789")]


class People:
    """A gateway and a view with two customers."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.redis = redis.Redis.from_url(door.redis)
        self.keys = ViewKeys(door.prefix)
        refusal = {"reason": "user_id", "signal_id": "s9", "at_ms": 8, "other": LEILA}
        refusal |= {"ours": MEMBERS[1]["node"], "theirs": OTHERS[1]["node"]}
        self.put(profile(1, members=MEMBERS, ties=TIES, refusals=[refusal]))
        self.put(profile(2, members=OTHERS))

    def put(self, view: dict[str, Any]) -> None:
        self.redis.set(self.keys.profile(view["customer"]), profile_json(view))
        for member in view["members"]:
            self.redis.set(self.keys.node(member["node"]), view["customer"].hex())

    def rule(self, body: Any, *, key: str | None = "operator") -> requests.Response:
        return self.door.post("/v1/identity/rulings", body, key=key)


@pytest.fixture(scope="module")
def people(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("identity")) as door:
        found = People(door)
        yield found
        found.redis.close()


SPLIT = {"kind": "split", "one": {"kind": "email", "value": "SARA@example.com "}, "reason": "her sister's address"}


def test_a_ruling_is_in_kafka_when_answered(people: People) -> None:
    """Under its node, by the key's name, pending until something came of it; then what came of it is told."""
    before = int(time.time() * 1000)
    answer = people.rule(SPLIT)
    assert answer.status_code == 202
    made = answer.json()
    assert made["status"] == answer.headers["Location"] == f"/v1/identity/rulings/{made['id']}"
    (ruling,) = people.door.rulings(lambda r: bool(r["id"] == made["id"]))
    node = _node("email", "sara@example.com")
    assert (ruling["key"], ruling["node"], ruling["other"], ruling["kind"]) == (node, node, b"", "split")
    assert (ruling["reason"], ruling["by"]) == ("her sister's address", "operator")
    assert before <= ruling["at_ms"] <= time.time() * 1000
    told = people.door.get(made["status"], key="agent").json()
    assert (told["state"], told["outcomes"], told["reason"]) == ("pending", [], "her sister's address")
    key = people.keys.ruling(made["id"])
    assert 0 < people.redis.ttl(key) <= RULING_LASTS_S
    merge = {"kind": "split", "customer": SARA, "merged": node, "reason": "ruling", "at_ms": 9, "nodes": [node]}
    people.redis.hset(key, outcome_field(merge), record_json({**merge, "signal_id": "", "ruling": made["id"]}).decode())
    told = people.door.get(made["status"], key="operator").json()
    assert (told["state"], told["outcomes"][0]["nodes"]) == ("done", [node.hex()])


def test_two_identifiers_by_value_or_node(people: People) -> None:
    """Both forms name the same node."""
    one, other = {"kind": "user_id", "value": "sara-1042"}, {"node": _node("user_id", "leila-77").hex()}
    made = people.rule({"kind": "merge", "one": one, "other": other, "reason": "one person, ticket 12"}).json()
    (ruling,) = people.door.rulings(lambda r: bool(r["id"] == made["id"]))
    assert (ruling["node"], ruling["other"]) == (_node("user_id", "sara-1042"), _node("user_id", "leila-77"))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad-json"),
        ([], 400, "not-an-object"),
        ({}, 400, "bad-kind"),
        ({**SPLIT, "kind": "shred"}, 400, "bad-kind"),
        ({**SPLIT, "kind": ["split"]}, 400, "bad-kind"),
        ({**SPLIT, "at_ms": 1}, 400, "unknown-field"),
        ({**SPLIT, "by": "somebody else"}, 400, "unknown-field"),
        ({**SPLIT, "one": "email:sara@example.com"}, 400, "bad-identifier"),
        ({**SPLIT, "one": {"kind": "email"}}, 400, "bad-identifier"),
        ({**SPLIT, "one": {"kind": "email", "value": 7}}, 400, "bad-identifier"),
        ({**SPLIT, "one": {"kind": "email", "value": "no address"}}, 400, "bad-identifier"),
        ({**SPLIT, "one": {"kind": "shoe_size", "value": "44"}}, 400, "bad-identifier"),
        ({**SPLIT, "one": {"node": "xyz"}}, 400, "bad-identifier"),
        ({**SPLIT, "other": {"node": "0" * 32}}, 400, "bad-other"),
        ({**SPLIT, "kind": "cut"}, 400, "bad-identifier"),
        ({**SPLIT, "kind": "merge", "other": SPLIT["one"]}, 400, "bad-other"),
        ({**SPLIT, "reason": ""}, 400, "bad-reason"),
        ({**SPLIT, "reason": None}, 400, "bad-reason"),
        ({**SPLIT, "reason": "x" * 501}, 400, "bad-reason"),
        ({**SPLIT, "reason": "sara@example.com asked for it"}, 400, "personal-reason"),
        ({**SPLIT, "reason": "x" * 9_000}, 413, "too-large"),
    ],
)
def test_what_is_no_ruling(people: People, body: Any, status: int, code: str) -> None:
    """Refused by a stable code, in words that repeat nothing personal; nothing is produced."""
    answer = people.rule(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "sara" not in answer.text.lower()


def test_who_may_rule(people: People) -> None:
    """Operators and admins; agents look, everybody else does not even that."""
    for role in ("write", "read", "agent"):
        assert people.rule(SPLIT, key=role).status_code == 403
    assert people.rule(SPLIT, key=None).status_code == 401
    assert people.rule(SPLIT, key="admin").status_code == 202
    for role in ("write", "read"):
        assert people.door.get(f"/v1/identity/rulings/{'0' * 32}", key=role).status_code == 403


@pytest.mark.parametrize(("id_", "status"), [("0" * 32, 404), ("x", 400), ("%00" * 32, 400), ("é" * 32, 400)])
def test_rulings_that_nobody_knows(people: People, id_: str, status: int) -> None:
    """Said so."""
    assert people.door.get(f"/v1/identity/rulings/{id_}", key="agent").status_code == status


def test_explain_one_customer(people: People) -> None:
    """The chain; values in full for agents, masked for readers."""
    query = {"one": "user_id:sara-1042", "other": "email:Sara@example.com"}
    told = people.door.get("/v1/identity/explain", key="agent", params=query).json()
    assert (told["same_customer"], told["customers"]) == (True, [SARA.hex()] * 2)
    (link,) = told["chain"]
    assert (link["signal_id"], link["source"], link["other"]["value"]) == ("t1", "shop", "sara@example.com")
    assert link["other"]["original"] == "Sara@Example.com"
    masked = people.door.get("/v1/identity/explain", key="read", params=query).text
    assert "s…om" in masked
    assert "sara" not in masked.lower()


def test_explain_two_customers(people: People) -> None:
    """The refusal that keeps them apart."""
    query = {"one": "email:sara@example.com", "other": f"node:{_node('phone', '+989123456789').hex()}"}
    told = people.door.get("/v1/identity/explain", key="agent", params=query).json()
    assert (told["same_customer"], told["chain"]) == (False, [])
    (apart,) = told["apart"]
    assert (apart["reason"], apart["told_by"], apart["theirs"]["value"]) == ("user_id", "s9", "+989123456789")


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        ("", "user_id:a", 400),
        ("user_id:sara-1042", "sara", 400),
        ("shoe_size:44", "user_id:a", 400),
        ("node:zz", "user_id:a", 400),
        ("user_id:sara-1042", "user_id:nobody-at-all", 404),
    ],
)
def test_explain_what_cannot_be(people: People, one: str, other: str, status: int) -> None:
    """Named by its place, never by its value."""
    answer = people.door.get("/v1/identity/explain", key="agent", params={"one": one, "other": other})
    assert answer.status_code == status
    assert "nobody-at-all" not in answer.text


def test_a_customer_s_identity(people: People) -> None:
    """Members, ties, refusals and story alone; masked for readers, by id and by identifier alike."""
    by_id = people.door.get(f"/v1/identity/customers/id/{SARA.hex()}", key="agent")
    by_value = people.door.get("/v1/identity/customers/email/sara@example.com", key="agent")
    assert by_id.json() == by_value.json()
    told = by_id.json()
    assert set(told) == {"customer", "members", "ties", "refusals", "story", "rulings"}
    assert told["members"][1]["original"] == "Sara@Example.com"
    assert (told["ties"][0]["source"], told["refusals"][0]["reason"]) == ("shop", "user_id")
    masked = people.door.get(f"/v1/identity/customers/id/{SARA.hex()}", key="read").text
    assert "sara" not in masked.lower()
    assert people.door.get(f"/v1/identity/customers/id/{'0' * 32}", key="read").status_code == 404


def test_no_value_in_the_log(people: People) -> None:
    """Neither identifiers nor reasons are logged; that a ruling was made is."""
    id_ = people.rule(SPLIT).json()["id"]
    log = people.door.log.read_text()
    assert id_ in log
    assert "sara" not in log.lower()
    assert "sister" not in log


def test_a_revoked_operator_rules_no_more(people: People) -> None:
    """Within seconds."""
    people.door.keys["leaving"] = keys.add(people.door.key_file, "leaving", "operator", now_ms=1)
    time.sleep(2 * keys.RELOAD_EVERY_S)
    assert people.rule(SPLIT, key="leaving").status_code == 202
    keys.revoke(people.door.key_file, "leaving", now_ms=2)
    time.sleep(2 * keys.RELOAD_EVERY_S)
    assert people.rule(SPLIT, key="leaving").status_code == 401
    assert orjson.loads(people.door.key_file.read_bytes())["keys"]
