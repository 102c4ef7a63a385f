"""A person whose every personal field holds words that stand nowhere else, and a search that finds them in any form."""

import base64
import json
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
import requests
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

USER = "qzxuser-7f3a91"
EMAIL = "Zahra.Qzxmark@mark.example"
PHONE = "+989127770391"
BROWSER, DEVICE = "qzxbrowser-55d1", "qzxdevice-91c2"
# By what they stand for; each is unmistakable, and each is searched for.
WORDS = {
    "user id": USER,
    "email": EMAIL,
    "phone": "9127770391",
    "browser": BROWSER,
    "device": DEVICE,
    "name": "زهراقزمارک",
    "surname": "Qzxmarkiyan",
    "address": "Qzxgarden Lane",
    "birth date": "1931-02-17",
    "search": "qzxshoes",
    "message": "qzxsister",
    "ticket": "qzxparcel",
    "order note": "qzxdoorbell",
    "ip": "203.0.113.179",
    "what was sent": "qzxvoucher",
    "what failed": "qzxbroken",
    "proof": "qzxsaidso",
}
# Somebody else, of whose traits each is a mistake away from the person's: a near match.
LIKE = "nearly-1"
LIKE_TRAITS = {
    "email": "zahra.qzmark@mark.example",
    "phone": "+989127770319",
    "first_name": "زهراقزمارگ",
    "last_name": "Qzmarkiyan",
    "address": "7 Qzgarden Lane",
    "birthday": "1931-12-07",
}
# A tablet that the person once signed in with: it is somebody else's, and parted.
TABLET = "family-tablet-1"


def calls() -> list[tuple[str, dict[str, Any]]]:
    """Return what the person's browser and the shop's systems send: path and body, in order."""
    context = {"ip": WORDS["ip"], "device": {"id": DEVICE}}
    traits = {
        "email": EMAIL,
        "phone": PHONE,
        "first_name": WORDS["name"],
        "last_name": WORDS["surname"],
        "address": f"7 {WORDS['address']}",
        "birthday": WORDS["birth date"],
    }
    known = {"userId": USER, "context": context}
    product = {"product_id": "tea", "quantity": 1, "price": 4.5}
    order = {"order_id": "o-1", "total": 4.5, "currency": "EUR", "products": [product], "note": WORDS["order note"]}
    ticket = {"ticket_id": "t-1", "reason": "delivery", "priority": "high", "text": f"the {WORDS['ticket']} is lost"}
    message = {"direction": "inbound", "text": f"my {WORDS['message']} is ill", "thread_id": "th-1"}
    no = {"purpose": "marketing", "channel": "email", "proof": f"on the phone: {WORDS['proof']}"}
    searched = {"anonymousId": BROWSER, "event": "Products Searched", "properties": {"query": WORDS["search"]}}
    return [
        ("/v1/track", {**searched, "context": context}),
        ("/v1/identify", {**known, "traits": traits}),
        ("/v1/track", {**known, "event": "Order Completed", "properties": order}),
        ("/v1/track", {**known, "event": "Ticket Opened", "properties": ticket}),
        ("/v1/track", {**known, "event": "Message Received", "properties": message}),
        ("/v1/track", {**known, "event": "Consent Withdrawn", "properties": no}),
        ("/v1/identify", {**known, "anonymousId": BROWSER, "traits": {"email": EMAIL.lower()}}),
    ]


def forms(word: str) -> set[bytes]:
    """Return a word as it may lie in bytes: encodings, cases, escapes."""
    found: set[bytes] = set()
    for text in (word, word.lower(), word.upper()):
        raw = text.encode()
        found |= {raw, text.encode("utf-16-le"), text.encode("utf-16-be")}
        escaped = json.dumps(text)[1:-1]
        found |= {escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()}
        quoted = urllib.parse.quote(text, safe="")
        found |= {quoted.encode(), quoted.lower().encode(), raw.hex().encode(), raw.hex().upper().encode()}
        for shift in range(3):
            code = base64.b64encode(b"x" * shift + raw)
            # Without the characters that bytes before and after the word decide, too.
            end = {0: len(code), 1: len(code) - 3, 2: len(code) - 2}[(shift + len(raw)) % 3]
            inner = code[(0, 2, 3)[shift] : end]
            found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


FORMS = {name: forms(word) for name, word in WORDS.items()}


def found_in(raw: bytes) -> set[str]:
    """Return what of the person stands in some bytes."""
    return {name for name, several in FORMS.items() if any(form in raw for form in several)}


def in_topics(kafka: str, prefix: str) -> dict[str, set[str]]:
    """Return what stands in each topic, in keys, values and headers of all that any reader can be given."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "search",
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            # A segment may be deleted between the look at its offsets and the fetch: then from what is first now.
            "auto.offset.reset": "earliest",
        }
    )
    raw: dict[str, list[bytes]] = {}
    try:
        known = consumer.list_topics(timeout=20).topics.items()
        parts = {name: topic.partitions for name, topic in known if name.startswith((prefix, "__"))}
        left = {(name, part) for name, some in parts.items() for part in some}
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in left])
        while left:
            first = consumer.poll(20)
            assert first is not None, "the topics are silent"
            for message in (first, *consumer.consume(5_000, timeout=0)):
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    # It has another end when more was written meanwhile.
                    left.discard((message.topic(), message.partition()))
                    continue
                headers = (part for pair in message.headers() or () for part in (pair[0].encode(), pair[1]))
                raw.setdefault(message.topic() or "", []).extend(
                    part for part in (message.key(), message.value(), *headers) if part
                )
    finally:
        consumer.close()
    return {name.removeprefix(prefix): found_in(b"\0".join(some)) for name, some in raw.items()}


def in_files(*folders: Path) -> dict[str, set[str]]:
    """Return what stands in files, by path; files that come and go meanwhile are as they are when read."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            try:
                said = found_in(path.read_bytes().rstrip(b"\0")) if path.is_file() else set()
            except FileNotFoundError:
                continue
            if said:
                found[str(path)] = said
    return found


def in_redis(url: str, prefix: str) -> dict[str, set[str]]:
    """Return what stands in Redis, by the first word of a key."""
    found: dict[str, set[str]] = {}
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            kind = key.removeprefix(prefix.encode()).partition(b":")[0].decode()
            found.setdefault(kind, set()).update(found_in(key), found_in(b"\0".join(_values(client, key))))
    return {kind: said for kind, said in found.items() if said}


def _values(client: Any, key: bytes) -> Iterable[bytes]:
    kind = client.type(key)
    if kind == b"string":
        return [client.get(key) or b""]
    if kind == b"hash":
        return [part for pair in client.hgetall(key).items() for part in pair]
    if kind == b"zset":
        return list(client.zrange(key, 0, -1))
    assert kind in {b"none", b"set", b"list"}, f"a key of type {kind}: search it, too"
    return client.smembers(key) if kind == b"set" else client.lrange(key, 0, -1) if kind == b"list" else []


def in_pages(*ports: int) -> dict[str, set[str]]:
    """Return what stands on the metrics pages of processes."""
    pages = {str(port): requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).content for port in ports}
    return {port: said for port, page in pages.items() if (said := found_in(page))}
