"""The collection API against a real broker: what comes in lies in the topics, and bad input costs nobody else."""

import gzip
import json
import socket
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from connectors.gateway import keys
from schemas.identifiers import Hasher, normalise
from tests.peers.gateway import NODE_KEY, Door, gateway

pytestmark = pytest.mark.kafka

SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def door(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", folder) as found:
        found.keys["browser"] = keys.add(found.key_file, "browser", "write", now_ms=1, origins=(SHOP,))
        found.keys["pos"] = keys.add(found.key_file, "pos", "write", now_ms=1, channel="pos", region="IR", strict=True)
        found.keys["slow"] = keys.add(found.key_file, "slow", "write", now_ms=1, events_per_s=1.0)
        found.keys["gone"] = keys.add(found.key_file, "gone", "write", now_ms=1)
        keys.revoke(found.key_file, "gone", now_ms=2)
        time.sleep(2 * keys.RELOAD_EVERY_S)  # keys added while it runs are noticed
        yield found


def _event(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": uuid.uuid4().hex, **fields}


def _has(id_: str) -> Callable[[dict[str, Any]], bool]:
    return lambda signal: bool(signal["id"] == id_)


def test_a_batch_is_in_kafka_when_answered(door: Door) -> None:
    """Each item lies under its strongest identifier's node, with its four times."""
    ids = [uuid.uuid4().hex for _ in range(3)]
    batch = [
        _event(messageId=id_, anonymousId=f"anon-{n}", timestamp="2026-01-01T00:00:00Z") for n, id_ in enumerate(ids)
    ]
    sent = "2026-01-01T00:00:10Z"
    before = int(time.time() * 1000)
    answer = door.post("/v1/batch", {"batch": batch, "sentAt": sent, "context": {"locale": "fa-IR"}})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    found = door.signals("web", lambda s: s["id"] in ids, 3)
    assert sorted(s["id"] for s in found) == sorted(ids)
    node = Hasher(bytes.fromhex(NODE_KEY)).node(normalise("user_id", "u1"))
    for signal in found:
        assert signal["key"] == node
        assert signal["context"]["locale"] == "fa-IR"
        assert signal["sent_at_ms"] - signal["original_at_ms"] == 10_000
        assert before <= signal["received_at_ms"] <= time.time() * 1000
        assert signal["occurred_at_ms"] == signal["received_at_ms"] - 10_000
        assert signal["source"] == "write"


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/v1/identify", {"traits": {"city": "Tehran"}}, "identified"),
        ("/v1/track", {"event": "Wish Granted"}, "wish_granted"),
        ("/v1/page/", {"name": "Home"}, "page_viewed"),
        ("/v1/screen", {"name": "Cart"}, "screen_viewed"),
        ("/v1/group", {"groupId": "g1"}, "grouped"),
        ("/v1/alias", {"previousId": "anon-9"}, "aliased"),
        (
            "/v1/merge",
            {"mergeProperties": [{"type": "email", "value": "a@b.co"}, {"type": "phone", "value": "+989121234567"}]},
            "aliased",
        ),
        ("/v1/t", {"event": "Order Completed", "properties": {"order_id": "o1", "total": 5}}, "order_completed"),
        ("/v1/i", {"traits": {}}, "identified"),
        ("/v1/p", {}, "page_viewed"),
        ("/v1/s", {}, "screen_viewed"),
        ("/v1/g", {"groupId": "g"}, "grouped"),
        ("/v1/a", {"previousId": "b"}, "aliased"),
    ],
)
def test_single_paths(door: Door, path: str, body: dict[str, Any], name: str) -> None:
    """Every path of Segment's and Rudder's SDKs, the short ones of browsers included; the key may be in the body."""
    id_ = uuid.uuid4().hex
    content = {"userId": "u2", "anonymousId": None, "messageId": id_, "writeKey": door.keys["write"], **body}
    answer = door.post(path, content, key=None, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [s["name"] for s in door.signals("web", lambda s: s["id"] == id_)] == [name]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch", "/beacon/v1/batch/"])
def test_batch_paths(door: Door, path: str) -> None:
    """Batches, by Bearer key, gzipped under any Content-Type, and by a beacon's query."""
    event = _event()
    raw = gzip.compress(json.dumps({"batch": [event]}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    if "beacon" in path:
        path += f"?writeKey={door.keys['write']}"
    else:
        headers["Authorization"] = f"Bearer {door.keys['write']}"
    answer = requests.post(door.url + path, data=raw, headers=headers, timeout=20, allow_redirects=False)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert door.signals("web", lambda s: s["id"] == event["messageId"])


def test_a_foreign_bearer_token_leaves_it_to_the_body(door: Door) -> None:
    """OAuth of Segment's SDKs: a token that is no key of ours, with the key in the body."""
    body = {"batch": [_event()], "writeKey": door.keys["write"]}
    assert door.post("/v1/batch", body, key=None, headers={"Authorization": "Bearer oauth"}).status_code == 200


def test_pixel(door: Door) -> None:
    """A picture in a page or message is a signal; its key is in the address."""
    id_ = uuid.uuid4().hex
    query = {"writeKey": door.keys["write"], "anonymousId": "a1", "event": "Seen", "messageId": id_}
    answer = door.get("/pixel/v1/track", params=query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    assert [s["name"] for s in door.signals("web", lambda s: s["id"] == id_)] == ["seen"]
    assert door.get("/pixel/v1/page", params={**query, "writeKey": "no"}).status_code == 401


def test_sdk_stubs(door: Door) -> None:
    """What browser SDKs ask first."""
    config = door.get("/sourceConfig/", key="write").json()
    assert config["source"]["enabled"] is True
    settings = door.get(f"/v1/projects/{door.keys['write']}/settings").json()
    assert settings["integrations"]["Segment.io"]["apiKey"] == door.keys["write"]
    assert door.get("/health").json() == {"server": "UP"}
    assert door.get("/version").json()["name"] == "sada"
    assert door.get("/sourceConfig/").status_code == 401


def test_one_bad_item_costs_only_itself(door: Door) -> None:
    """The good are signals, the bad is a dead letter with its raw bytes, reason and place; the answer says so."""
    good, bad = _event(), {"type": "track", "event": "X", "messageId": uuid.uuid4().hex}
    answer = door.post("/v1/batch", {"batch": [good, bad, 7]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["accepted"] == 1
    assert [(r["index"], r["code"]) for r in body["refused"]] == [(1, "no-identifier"), (2, "not-an-object")]
    assert door.signals("web", lambda s: s["id"] == good["messageId"])
    letter = door.dead_letters(lambda d: bad["messageId"].encode() in d["value"])[0]
    assert (letter["code"], letter["stage"], letter["topic"]) == ("no-identifier", "gateway", "/v1/batch")
    assert json.loads(letter["value"]) == bad
    assert letter["detail"].startswith("item 1: ")
    assert (
        'sada_gateway_items_refused_total{code="no-identifier",key="write"}'
        in requests.get(f"{door.metrics}/metrics", timeout=5).text
    )


def test_strict_answers_400_and_still_takes_the_good(door: Door) -> None:
    """By header, or by the key's agreement."""
    for headers, key in (({"Sada-Strict": "1"}, "write"), ({}, "pos")):
        good = _event()
        answer = door.post("/v1/batch", {"batch": [{"type": "no"}, good]}, key=key, headers=headers)
        assert answer.status_code == 400
        body = answer.json()
        assert (body["code"], body["accepted"], body["refused"][0]["index"]) == ("invalid", 1, 0)
        assert door.signals("pos" if key == "pos" else "web", _has(good["messageId"]))


def test_nothing_taken_is_400(door: Door) -> None:
    """No SDK may believe that it delivered what nobody kept."""
    answer = door.post("/v1/track", {"userId": "u1"})
    assert (answer.status_code, answer.json()["code"]) == (400, "missing-field")


def test_a_key_binds_its_channel(door: Door) -> None:
    """The key of the tills writes to pos whatever the event says, and knows its region's phone numbers."""
    event = _event(userId=None, context={"channel": "web", "traits": {"phone": "۰۹۱۲ ۳۴۵ ۶۷۸۹"}})
    assert door.post("/v1/batch", {"batch": [event]}, key="pos").status_code == 200
    signal = door.signals("pos", lambda s: s["id"] == event["messageId"])[0]
    assert signal["identifiers"] == [{"kind": "phone", "value": "+989123456789", "original": "۰۹۱۲ ۳۴۵ ۶۷۸۹"}]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "bad-json"),
        (b"\xff\xfe", "bad-json"),
        (b'{"batch": [{"a": NaN}]}', "bad-json"),
        (b'{"batch": [{"a": 1e999}]}', "bad-json"),
        (b'{"batch": [{"a": ' + b"9" * 5_000 + b"}]}", "bad-json"),
        (b'{"batch": [{"a": "\\ud800"}]}', "bad-json"),
        (b"[" * 100_000 + b"]" * 100_000, "bad-json"),
        (b"[]", "bad-json"),
        (b"null", "bad-json"),
        (b"", "bad-json"),
        (b"{}", "missing-field"),
        (b'{"batch": {}}', "missing-field"),
        (b'{"batch": [' + b"1," * 10_000 + b"1]}", "too-large"),
        (b'{"batch": ["' + b"x" * 4_000_001 + b'"]}', "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[:14]!r}",
)
def test_bad_bodies(door: Door, raw: bytes, code: str) -> None:
    """400 with a stable code; what an authenticated sender sent is a dead letter; the door stays open."""
    answer = door.post("/v1/batch", raw)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["message"]
    if raw and code != "too-large":
        assert door.dead_letters(lambda d: (d["value"], d["code"], d["topic"]) == (raw, code, "/v1/batch"))
    assert door.post("/v1/batch", {"batch": [_event()]}).status_code == 200


def test_duplicate_names_in_json(door: Door) -> None:
    """The last one counts, as in every browser: never two readings of one message."""
    id_ = uuid.uuid4().hex
    raw = f'{{"event":"A","event":"B","userId":"u","messageId":"{id_}"}}'.encode()
    assert door.post("/v1/track", raw).status_code == 200
    assert [s["name"] for s in door.signals("web", lambda s: s["id"] == id_)] == ["b"]


@pytest.mark.parametrize(
    ("raw", "encoding", "status", "code"),
    [
        (gzip.compress(b"[" * 50_000_000), "gzip", 413, "too-large"),
        (zlib.compress(b" " * 50_000_000), "deflate", 413, "too-large"),
        (gzip.compress(b'{"batch": []}')[:-6], "gzip", 400, "bad-encoding"),
        (b"not gzip", "gzip", 400, "bad-encoding"),
        (b"{}", "br", 400, "bad-encoding"),
    ],
    ids=["gzip bomb", "deflate bomb", "cut", "no gzip", "unknown"],
)
def test_compressed_bodies(door: Door, raw: bytes, encoding: str, status: int, code: str) -> None:
    """A bomb costs its limit, not its size. Rudder's paths say 413, Segment's 400; no SDK tries either again."""
    answer = door.post("/v1/import", raw, headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert door.post("/v1/batch", raw, headers={"Content-Encoding": encoding}).status_code == 400


def test_one_large_event_is_refused_alone(door: Door) -> None:
    """The others of its batch pass; the large one does not block its sender's queue."""
    good, large = _event(), _event(properties={"x": "y" * 40_000})
    answer = door.post("/v1/batch", {"batch": [large, good]})
    assert answer.status_code == 200
    assert [(r["index"], r["code"]) for r in answer.json()["refused"]] == [(0, "too-large")]


@pytest.mark.parametrize("key", [None, "gone", "unknown"])
def test_no_valid_key(door: Door, key: str | None) -> None:
    """Missing, revoked, unknown: 401 with the same words; nothing is kept."""
    headers = {} if key is None else {"Authorization": f"Bearer {door.keys.get(key, 'sk_write_nope')}"}
    answer = door.post("/v1/batch", {"batch": [_event()]}, key=None, headers={**headers, "X-Forwarded-For": "9.9.9.9"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")


def test_slow_senders_are_told_when(door: Door) -> None:
    """429 with Retry-After, in whole seconds; other keys go on."""
    answers = [door.post("/v1/track", _event(), key="slow") for _ in range(12)]
    assert [a.status_code for a in answers[:10]] == [200] * 10
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "rate-limited")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert door.post("/v1/track", _event()).status_code == 200


def test_a_page_of_another_origin(door: Door) -> None:
    """CORS by key: its own shop may, another page may not, and a key for servers may not be used by pages at all."""
    preflight = requests.options(
        f"{door.url}/v1/t", headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"}, timeout=5
    )
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
    assert preflight.headers["Access-Control-Max-Age"] == "900"
    mine = door.post("/v1/t", _event(), key="browser", headers={"Origin": SHOP})
    assert (mine.status_code, mine.headers["Access-Control-Allow-Origin"]) == (200, SHOP)
    for origin, key in (("https://evil.example", "browser"), (SHOP, "write"), ("null", "browser")):
        other = door.post("/v1/t", _event(), key=key, headers={"Origin": origin})
        assert (other.status_code, other.json()["code"]) == (403, "origin-not-allowed")
    evil = requests.options(f"{door.url}/v1/t", headers={"Origin": "https://evil.example"}, timeout=5)
    assert (evil.status_code, "Access-Control-Allow-Origin" in evil.headers) == (403, False)


ENDPOINTS = {
    "collect": ("POST", "/v1/track"),
    "batch": ("POST", "/v1/batch"),
    "config": ("GET", "/sourceConfig"),
    "lookup": ("GET", "/v1/customers/user_id/nobody"),
    "lookup by id": ("GET", f"/v1/customers/id/{'0' * 32}"),
    "identity": ("GET", "/v1/identity/customers/user_id/nobody"),
    "identity by id": ("GET", f"/v1/identity/customers/id/{'0' * 32}"),
    "explain": ("GET", "/v1/identity/explain?one=user_id:a&other=user_id:b"),
    "rule": ("POST", "/v1/identity/rulings"),
    "ruling": ("GET", f"/v1/identity/rulings/{'0' * 32}"),
    "erase": ("POST", "/v1/privacy/erasures"),
    "erasure": ("GET", f"/v1/privacy/erasures/{'0' * 32}"),
    "export": ("POST", "/v1/privacy/exports"),
    "exported": ("GET", f"/v1/privacy/exports/{'0' * 32}.{'0' * 64}"),
}
_LOOKS = {"lookup", "lookup by id", "identity", "identity by id", "explain"}
RIGHTS = {
    "write": {"collect", "batch", "config"},
    "read": _LOOKS,
    "agent": _LOOKS | {"ruling"},
    "operator": _LOOKS | {"ruling", "rule"},
    "privacy": {"erase", "erasure", "export", "exported"},
}


@pytest.mark.parametrize("role", ["write", "read", "agent", "operator", "privacy", "admin"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_roles_and_endpoints(door: Door, role: str, endpoint: str) -> None:
    """Deny by default: what a role may not is 403, what it may is anything else."""
    method, path = ENDPOINTS[endpoint]
    answer = requests.request(method, door.url + path, headers=door.basic(role), data=b"{}", timeout=10)
    allowed = endpoint in RIGHTS.get(role, set(ENDPOINTS))
    assert (answer.status_code != 403) == allowed
    assert answer.status_code != 401
    assert set(answer.json()) >= {"code", "message"} or answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/customers/email/" + "a" * 10_000, 400),
        ("/v1/customers/shoe_size/44", 400),
        ("/v1/customers/id/xyz", 400),
        ("/v1/customers/id/" + "g" * 32, 400),
        ("/v1/customers/user_id/..%2f..%2fetc%2fpasswd", 404),
        ("/v1/customers/user_id/%00", 400),
        ("/v1/customers/user_id/<script>", 404),
        ("/v1/customers/user_id/%E2%80%AE", 400),
        ("/v1/customers/../../etc/passwd", 404),
        ("/nowhere", 404),
        ("/v1/batch", 405),
        ("/" + "a" * 12_000, 404),
    ],
)
def test_bad_addresses_are_answered_in_json(door: Door, path: str, status: int) -> None:
    """Never a page, never a redirect, never 500."""
    answer = door.get(path, key="agent")
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


def test_a_slow_body_is_cut_off(door: Door) -> None:
    """408 after the time limit, while others are served."""
    host, port = door.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        auth = door.basic()["Authorization"]
        client.sendall(
            f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\nContent-Length: 50\r\n\r\n{{".encode()
        )
        assert door.post("/v1/track", _event()).status_code == 200
        client.settimeout(20)
        assert b"408" in client.recv(200).split(b"\r\n")[0]


def test_secrets_stay_out_of_log_and_files(door: Door) -> None:
    """Neither keys nor identifiers are in the log; the key file holds hashes for its owner alone."""
    door.post("/v1/track", {"userId": "secret-person", "event": ""})
    log, file = door.log.read_text(), door.key_file.read_text()
    assert "secret-person" not in log
    assert not any(key in log or key in file for key in door.keys.values())
    assert door.key_file.stat().st_mode & 0o077 == 0
