"""The catalogue: a good one is taken whole, a bad one is refused with every problem's line, column and field."""

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas import topics, views
from schemas.catalogue import catalogue_schema
from schemas.document import DocumentError, read_yaml
from schemas.durations import duration_ms
from streams.core.catalogue import canonical, version_of
from streams.core.catalogue_check import load_catalogue, read_catalogue
from tests.unit.streams.core.deciding import action, catalogue, document, signal, treatment

EXAMPLE = Path(__file__).parents[4] / "deploy/local/catalogue.yaml"

GOOD = """\
version: 1
currency: EUR
triggers:
  added: {kinds: [behaviour], names: [product_added]}
levers:
  growth: {factor: 1.2}
contexts:
  - id: busy
    when: record.activity.open_tickets > 0
    factor: 0.5
actions:
  - id: greet
    title: Greets
    purpose: marketing
    triggers: [added]
    suitability: f.orders > 1.0
    value: 10
    goal: {kind: order, within: 2d}
    lever: growth
    params:
      name: {trait: first_name, default: friend}
    treatments:
      - id: mail
        channel: email
        languages:
          en:
            subject: "Hello {{ name }}"
            body: "Hello {{ name }}, welcome"
          fa: {subject: "سلام", body: "سلام {{ name }}"}
"""


def problems(text: str) -> list[str]:
    """Return what is wrong with a file, one line each."""
    with pytest.raises(DocumentError) as caught:
        read_catalogue(text, "shop.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_good() -> None:
    """The catalogue that `sada up` publishes passes its own check, in three languages on every treatment."""
    shop = read_catalogue(EXAMPLE.read_text(), EXAMPLE.name)
    assert len(shop.actions) == 8
    assert {t.channel for a in shop.actions.values() for t in a.treatments} == {
        "email", "web", "app", "pos", "call-centre",
    }  # fmt: skip
    assert all(set(t.texts) == {"en", "fa", "ar"} for a in shop.actions.values() for t in a.treatments)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "version: 2", "1:1: version: 2 is not taken: version of this format"),
        ("currency: EUR", "currency: Euro", "2:1: currency: 'Euro' is not taken: ISO 4217"),
        ("purpose: marketing", "purpose: adverts", "14:5: @purpose: 'adverts' is not taken"),
        (
            "triggers: [added]",
            "triggers: [aded]",
            "15:16: @triggers[0]: there is no trigger 'aded': did you mean 'added'?",
        ),
        ("f.orders > 1.0", "f.order > 1.0", "16:5: @suitability: f.order does not exist: did you mean f.orders?"),
        ("f.orders > 1.0", "f.orders +", "16:5: @suitability: is not CEL"),
        ("f.orders > 1.0", "f.orders + 1.0", "16:5: @suitability: yields float, not true or false"),
        ("value: 10", "value: -10", "17:5: @value: -10 is not taken: worth of reaching the goal"),
        ("value: 10", "value: ten", "17:5: @value: 'ten' is not a number"),
        ("value: 10", "value: 10\n    colour: red", "18:5: @colour: is not known here"),
        ("value: 10", "value: 10\n    cooldwn: 3d", "18:5: @cooldwn: is not known here: did you mean 'cooldown'?"),
        ("within: 2d", "within: two days", "18:25: @goal.within: 'two days' is not taken: a duration"),
        ("within: 2d", "within: 0d", "18:25: @goal.within: must be more than 0 and at most 90d"),
        ("within: 2d", "within: 91d", "18:25: @goal.within: must be more than 0 and at most 90d"),
        ("    title: Greets\n", "", "12:5: actions[0]: 'title' is missing"),
        ("lever: growth", "lever: grow", "19:5: @lever: there is no lever 'grow'"),
        (
            "trait: first_name, ",
            "trait: a, text: b, ",
            "21:7: @params.name: takes one of trait, record, signal, money and text",
        ),
        ("trait: first_name", "record: value.order", "21:14: @params.name.record: record.value.order does not exist"),
        (
            "channel: email",
            "channel: e-mail",
            "24:9: @treatments[0].channel: 'e-mail' is not taken: did you mean 'email'?",
        ),
        ("channel: email", "channel: webhook", "23:9: @treatments[0]: address names the webhook"),
        ("channel: email", "channel: email\n        address: crm", "23:9: @treatments[0]: address names the webhook"),
        ('subject: "Hello {{ name }}"', 'subject: ""', "26:11: ~languages.en: an e-mail needs a subject"),
        ('subject: "Hello {{ name }}"', 'subject: "a\\r\\nBcc: x"', "27:13: ~languages.en.subject: holds a line break"),
        ('subject: "Hello {{ name }}"', 'subject: "a\\0b"', "27:13: ~languages.en.subject: holds control characters"),
        ("{{ name }}, welcome", "{{ name }, welcome", "28:13: ~languages.en.body: is not Liquid"),
        (
            "{{ name }}, welcome",
            "{{ nam }}, welcome",
            "28:13: ~languages.en.body: nam is not a parameter of the action; there are name",
        ),
        ("{{ name }}, welcome", "{{ name.x }}", "28:13: ~languages.en.body: name is a single value"),
        (
            "{{ name }}, welcome",
            "{% for i in (1..9) %}x{% endfor %}",
            "28:13: ~languages.en.body: the tag for is not taken",
        ),
        ("{{ name }}, welcome", "{% include 'x' %}", "28:13: ~languages.en.body: "),
        (
            "{{ name }}, welcome",
            "{{ name | date: '%9999d' }}",
            "28:13: ~languages.en.body: the filter date is not taken",
        ),
        ("          fa:", "          Fa/IR:", "29:11: ~languages.Fa/IR: 'Fa/IR' is not taken: a BCP 47 language"),
        ("          fa:", "          EN:", "25:9: ~languages: a language stands here twice"),
        (
            "names: [product_added]",
            "names: [product_added], channels: [wap]",
            "4:66: triggers.added.channels[0]: 'wap' is not taken",
        ),
        (
            "    triggers: [added]",
            "    triggers: [added, quiet]",
            "15:23: @triggers[1]: there is no trigger 'quiet': there are added",
        ),
        (
            "kinds: [behaviour], names: [product_added]",
            "kinds: [timer], names: [noon]",
            "4:35: triggers.added.names[0]: there is no timer 'noon'",
        ),
        (
            "kinds: [behaviour], names: [product_added]",
            "kinds: [timer, survey]",
            "4:11: triggers.added.kinds: timer stands alone",
        ),
        (
            "kinds: [behaviour], names: [product_added]",
            "kinds: [timer], channels: [web]",
            "4:27: triggers.added.channels: time has no channel",
        ),
        ("levers:", "  unused: {kinds: [survey]}\nlevers:", "5:3: triggers.unused: leads to no action"),
        ("factor: 0.5", "factor: 0.5\n    actions: [meet]", "11:15: contexts[0].actions[0]: there is no action 'meet'"),
        ("open_tickets > 0", "open_tickets", "9:5: contexts[0].when: yields int"),
        (
            "currency: EUR",
            "currency: EUR\ndefaults: {time_zone: Mars/Base}",
            "3:12: defaults.time_zone: 'Mars/Base' is not a time zone",
        ),
        (
            "value: 10",
            "value: 10\n    until: 2027-13-31T22:00:00Z",
            "18:5: @until: '2027-13-31T22:00:00Z' is not a date",
        ),
        ("value: 10", "value: 10\n    expiry: 0s", "18:5: @expiry: must be more than 0"),
        ("value: 10", "value: 10\n    value: 11", "18:5: @value: the key 'value' stands here twice (first in line 17)"),
        (
            "      - id: mail",
            "      - {id: mail, channel: web, languages: {en: {body: x}}}\n      - id: mail",
            "24:9: @treatments[1].id: the id 'mail' stands here twice (first in line 23)",
        ),
        ("title: Greets", "title: https://user:hunter22@example.com", "13:5: @title: holds a URL with a password"),
        ("title: Greets", "title: 'api_key=0123456789abcdef'", "13:5: @title: holds what looks like a secret"),
        ("title: Greets", "title: AKIAABCDEFGHIJKLMNOP", "13:5: @title: holds an access key"),
        ("title: Greets", "title: sk_live_abcdefghijklmnopqrst", "13:5: @title: holds an access token"),
    ],
)
def test_each_mistake_is_named(old: str, new: str, expected: str) -> None:
    """A mistake is told with file, line, column and field (@: the first action, ~: its treatment), and no other is."""
    assert GOOD.count(old) == 1
    expected = expected.replace("~", "@treatments[0].").replace("@", "actions[0].")
    found = problems(GOOD.replace(old, new))
    assert found[0].startswith(f"shop.yaml:{expected}"), found
    assert len(found) == 1, found


def test_all_mistakes_at_once() -> None:
    """Nobody corrects a file ten times; problems come in the order of the file."""
    text = GOOD.replace("EUR", "euro").replace("value: 10", "value: x").replace("channel: email", "channel: fax")
    assert [line.split(": ")[0] for line in problems(text)] == ["shop.yaml:2:1", "shop.yaml:17:5", "shop.yaml:24:9"]
    text = GOOD.replace("f.orders", "f.x").replace("lever: growth", "lever: y").replace("{{ name }}, w", "{{ z }}")
    assert [line.split(": ")[0] for line in problems(text)] == ["shop.yaml:16:5", "shop.yaml:19:5", "shop.yaml:28:13"]


def test_a_secret_is_never_repeated() -> None:
    """Problems are printed and logged: the secret itself is in none of them."""
    found = problems(GOOD.replace("currency: EUR", "currency: https://u:hunter22@x"))
    assert found
    assert "hunter22" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a mapping"),
        ("[]", "is not a mapping"),
        ("just words", "is not a mapping"),
        ("a: &x 1\nb: *x", "1:4: a: anchors (&name) are not taken"),
        ("a: *x", "1:4: a: aliases (*name) are not taken"),
        ("a: !!python/object/apply:os.system ['true']", "1:4: a: tags"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: [1, 2", "not YAML"),
        ("a: b: c", "not YAML"),
        ("a:\n\tb: 1", "not YAML"),
        ("? [a, b]\n: 1", "a key must be a word"),
        ("x: \x01", "not YAML"),
        ("[" * 5_000, "nested deeper than 16 levels"),
        ("{a: " * 5_000, "nested deeper than 16 levels"),
        ("- " * 5_000, "nested deeper than 16 levels"),
        ("a: " + "x" * 600_000, "at most 524288 are taken"),
        ("a: " + "x" * 30_000, "a text of 30000 characters"),
        ("x" * 300 + ": 1", "a key of 300 characters"),
        ("[" + "1," * 150_000 + "1]", "more than 100000 values"),
        ("a: 1e999999", "is not known here"),
        ("a: " + "9" * 5_000, "is not known here"),
    ],
)  # fmt: skip
def test_bombs_and_nonsense(text: str, message: str) -> None:
    """Hostile files are refused quickly, before they are built."""
    started = time.process_time()
    found = problems(text)
    spent = time.process_time() - started
    assert message in found[0], found
    assert spent < 5


def test_yaml_words_stay_words() -> None:
    """YAML 1.1 would read Norway as false and a version as a date; here only 1.2's own words are special."""
    text = "{a: no, b: on, c: 2027-01-31, d: 012, e: ~, f: true, g: 1.5, h: '7', no: x, i: 0x1F, j: 1_000, k: .5}"
    assert read_yaml(text, "x").value == {
        "a": "no", "b": "on", "c": "2027-01-31", "d": 12, "e": None, "f": True, "g": 1.5, "h": "7", "no": "x",
        "i": "0x1F", "j": "1_000", "k": 0.5,
    }  # fmt: skip


def test_version_is_of_the_meaning() -> None:
    """Comments, order of keys and layout do not make a new version; a changed value does."""
    first = read_catalogue(GOOD, "a.yaml")
    moved = GOOD.replace("version: 1\ncurrency: EUR\n", "# mine\ncurrency: EUR\nversion:   1\n")
    assert read_catalogue(moved, "b.yaml").version == first.version == version_of(first.document)
    assert read_catalogue(GOOD.replace("value: 10", "value: 11"), "c.yaml").version != first.version


def test_published_and_loaded_is_the_same() -> None:
    """What a worker loads from the topic is what was checked."""
    first = read_catalogue(GOOD, "a.yaml")
    again = load_catalogue(first.document, first.version)
    assert (again.version, again.document, again.policy) == (first.version, first.document, first.policy)
    assert [a.treatments for a in again.actions.values()] == [a.treatments for a in first.actions.values()]


def _published(value: Any) -> tuple[bytes, str]:
    raw = canonical(value)
    return raw, version_of(raw)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ((b"{}", "00"), "its version is not the SHA-256"),
        ((b"{}x", version_of(b"{}x")), "not JSON"),
        ((b'{"a": 1}', version_of(b'{"a": 1}')), "not canonical"),
        ((b'{"a":1,"a":1}', version_of(b'{"a":1,"a":1}')), "not canonical"),
        ((b"[" * 100_000, version_of(b"[" * 100_000)), "not JSON"),
        ((b"\xff", version_of(b"\xff")), "not JSON"),
        (_published({}), "'actions' is missing"),
        (_published([]), "is not a mapping"),
        (_published(document(action(value=-1))), "actions[0].value: -1 is not taken"),
        (_published(document(action(suitability="f.x > 1"))), "actions[0].suitability: f.x does not exist"),
        (_published({"a": "x" * 1_000_000}), "at most 900000 are taken"),
    ],
)
def test_hostile_records_are_refused(record: tuple[bytes, str], message: str) -> None:
    """Whoever can write the topic cannot make a worker take what the command would refuse."""
    with pytest.raises(DocumentError) as caught:
        load_catalogue(*record)
    assert message in str(caught.value)


def test_deep_but_canonical_json_is_refused() -> None:
    """orjson reads 1,024 levels: the check of texts must survive them."""
    raw = b"[" * 1_000 + b"]" * 1_000
    with pytest.raises(DocumentError):
        load_catalogue(raw, version_of(raw))


def test_triggered() -> None:
    """A signal sets off the triggers of its kind, name and channel, and no others."""
    shop = catalogue(
        action(triggers=["added", "anything", "at-the-till"]),
        triggers={
            "added": {"kinds": ["behaviour"], "names": ["product_added"]},
            "anything": {"kinds": ["behaviour", "survey"]},
            "at-the-till": {"kinds": ["transaction"], "channels": ["pos"]},
        },
    )

    def names(*of: str) -> list[str]:
        return [trigger.name for trigger in shop.triggered(signal(*of))]

    assert names("behaviour", "product_added") == ["added", "anything"]
    assert names("behaviour", "page_viewed") == ["anything"]
    assert names("survey", "product_added") == ["anything"]
    assert names("transaction", "order_completed", "pos") == ["at-the-till"]
    assert names("transaction", "order_completed", "web") == []
    assert names("message", "received") == []


def test_defaults_reach_the_actions() -> None:
    """What an action leaves out it takes from the defaults; a treatment's own cost wins."""
    shop = catalogue(
        action(treatments=[treatment(), treatment("t2", cost=0.5)], cost=2),
        action("other"),
        defaults={"cooldown": "5h", "cost": 3, "expiry": "10m"},
    )
    first, other = shop.actions["greet"], shop.actions["other"]
    assert [t.cost for t in first.treatments] == [2.0, 0.5]
    assert (other.treatments[0].cost, other.cooldown_ms, other.expiry_ms) == (3.0, 18_000_000, 600_000)


def test_the_schema_agrees_with_the_contracts() -> None:
    """Channels and kinds stand in the JSON schema and in the contracts; they must be the same."""
    schema = catalogue_schema()
    trigger = schema["properties"]["triggers"]["additionalProperties"]["properties"]
    kinds = trigger["kinds"]["items"]["enum"]
    inbound = trigger["channels"]["items"]["enum"]
    outbound = schema["properties"]["actions"]["items"]["properties"]["treatments"]["items"]["properties"]["channel"]
    assert tuple(kinds) == (*views.SIGNAL_KINDS, "timer")
    assert tuple(inbound) == topics.CHANNELS
    assert tuple(outbound["enum"]) == topics.ACTION_CHANNELS


@pytest.mark.parametrize("text", ["3", "d", "1.5h", "-3d", "3 d", "3D", "", "3d\n", "٣d", "9999999999d"])
def test_what_is_no_duration(text: str) -> None:
    """A duration is a whole number and a unit, nothing else."""
    with pytest.raises(ValueError, match="is not a duration"):
        duration_ms(text)


def test_json_is_taken_too() -> None:
    """A program may write the file: JSON is YAML."""
    assert read_catalogue(orjson.dumps(document()).decode(), "x.json").actions.keys() == {"greet"}
