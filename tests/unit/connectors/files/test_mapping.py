"""Mappings: faults are told by line and field; what holds becomes signals that the schema takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connectors.files.checkpoint import Progress, read, write
from connectors.files.importer import starting_point
from connectors.files.located import FileError
from connectors.files.mapping import Rules, load
from connectors.files.shape import RowError, Shaper, by_name, by_position
from schemas.identifiers import KINDS, Forms, Hasher, normalise
from schemas.identity_rules import IdentityRules
from schemas.wire import codec_of
from tests.peers.shop_orders import GROUPED, HEADER, ORDERS

NOW_MS = 1_750_000_000_000
CELLS = {"order_no": "o1", "created": "2024-05-01T10:00:00", "customer": "C7", "mail": "", "sku": "tea", "qty": "2"}
HASHER = Hasher(b"k" * 32)


def rules(tmp_path: Path, changes: dict[str, Any]) -> Rules:
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({**ORDERS, **changes}))
    return load(path)


def shaper(found: Rules, columns: Any = None, region: str | None = None) -> Shaper:
    return Shaper(
        found,
        columns or by_position(HEADER.split(",")),
        lambda row: row,
        hasher=HASHER,
        identity=IdentityRules(forms=Forms(region=region)),
    )


def row(**cells: str) -> list[str]:
    return [{**CELLS, "price": "4.50", **cells}[name] for name in HEADER.split(",")]


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"kind": "gossip"}, "kind", "must be one of"),
        ({"channel": "fax"}, "channel", "must be one of"),
        ({"channel": "outcome"}, "channel", "must be one of"),
        ({"name": "Has Blanks"}, "name", "does not match"),
        ({"colour": 1}, "the file", "colour"),
        ({"identifiers": []}, "identifiers", ""),
        ({"identifiers": [{"kind": "shoe", "column": "x"}]}, "identifiers.0.kind", "must be one of"),
        ({"time": {"column": "c", "zone": "Mars/Base"}}, "time.zone", "not an IANA"),
        ({"time": {"column": "c", "format": "soon"}}, "time.format", "must be iso"),
        ({"csv": {"encoding": ["utf-16"]}}, "csv.encoding.0", "read by lines"),
        ({"payload": {**ORDERS["payload"], "amountt": "x"}}, "payload.amountt", "not a field of transaction"),
        ({"payload": {"type": {"const": "order"}}}, "payload", "lacks order_id, amount_minor, currency"),
        ({"payload": {**ORDERS["payload"], "items": "sku"}}, "payload.items", "takes lines"),
        ({"payload": {**ORDERS["payload"], "coupon": {}}}, "payload.coupon", "column or const"),
        (
            {"payload": {**ORDERS["payload"], "amount_minor": {"column": "price", "sum": True}}},
            "payload.amount_minor.sum",
            "needs group_by",
        ),
    ],
)
def test_a_bad_mapping_is_refused_by_line_and_field(
    tmp_path: Path, changes: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(FileError) as caught:
        rules(tmp_path, changes)
    first = str(caught.value).splitlines()[0]
    path, line, rest = first.split(":", 2)
    assert (path, rest.split(":")[0].strip()) == (str(tmp_path / "m.yaml"), field)
    assert says in first
    if field != "the file":
        key = field.split(".", maxsplit=1)[0]
        text = (tmp_path / "m.yaml").read_text().splitlines()
        start = next(n for n, content in enumerate(text, 1) if content.startswith(f"{key}:"))
        assert start <= int(line) <= len(text)


def test_a_column_that_is_not_there_is_told_before_the_first_row(tmp_path: Path) -> None:
    found = rules(tmp_path, {"id": ["nowhere"]})
    with pytest.raises(FileError, match="no column 'nowhere'; it has: order_no"):
        shaper(found)


def test_a_whole_signal(tmp_path: Path) -> None:
    signal, key = shaper(rules(tmp_path, {})).shape([row(mail="Sara@Shop.Example")], NOW_MS)
    assert key == HASHER.node(normalise("crm_id", "C7"))
    assert signal["occurred_at_ms"] == 1_714_545_000_000  # 10:00 in Tehran is 06:30 UTC
    assert [(i["kind"], i["value"]) for i in signal["identifiers"]] == [
        ("crm_id", "C7"),
        ("email", "sara@shop.example"),
    ]
    read_back = codec_of("signal").decode(codec_of("signal").encode(signal))
    assert read_back["transaction"]["amount_minor"] == 900
    assert read_back["transaction"]["items"] == [
        {"item_id": "tea", "category": None, "quantity": 2, "price_minor": 450}
    ]


@pytest.mark.parametrize(
    ("cells", "code", "names"),
    [
        ({"customer": "", "mail": "not mail"}, "no-identifier", ""),
        ({"customer": "unknown"}, "no-identifier", ""),
        ({"created": "yesterday"}, "bad-time", "created"),
        ({"created": "1970-01-01"}, "bad-time", "created"),
        ({"created": "2999-01-01"}, "bad-time", "created"),
        ({"created": ""}, "bad-time", "created"),
        ({"price": "4.505"}, "bad-value", "payload.amount_minor"),
        ({"price": "four"}, "bad-value", "payload.amount_minor"),
        ({"price": "1e999"}, "bad-value", "payload.amount_minor"),
        ({"price": "NaN"}, "bad-value", "payload.amount_minor"),
        ({"price": "9" * 5_000}, "bad-value", "payload.amount_minor"),
        ({"price": ""}, "missing-value", "payload.amount_minor"),
        ({"order_no": " "}, "missing-value", "payload.order_id"),
        ({"qty": "2.5"}, "bad-value", "payload"),
        ({"qty": str(2**40)}, "bad-value", "payload.items.quantity"),
    ],
)
def test_a_bad_cell_names_its_field_and_no_value(tmp_path: Path, cells: dict[str, str], code: str, names: str) -> None:
    with pytest.raises(RowError) as caught:
        shaper(rules(tmp_path, {})).shape([row(**cells)], NOW_MS)
    assert caught.value.code == code
    assert names in str(caught.value)


@pytest.mark.parametrize(
    ("given_time", "zone", "text"),
    [
        ("iso", "UTC", "2024-05-01T06:30:00Z"),
        ("iso", "Asia/Tehran", "2024-05-01 10:00"),
        ("iso", "Asia/Tehran", "۲۰۲۴-۰۵-۰۱ ۱۰:۰۰"),
        ("iso", "UTC", "2024-05-01T10:00:00+03:30"),
        ("%d.%m.%Y %H:%M", "Asia/Tehran", "01.05.2024 10:00"),
        ("epoch_s", "UTC", "1714545000"),
        ("epoch_ms", "UTC", "1714545000000"),
    ],
)
def test_times(tmp_path: Path, given_time: str, zone: str, text: str) -> None:
    found = rules(tmp_path, {"time": {"column": "created", "format": given_time, "zone": zone}})
    assert shaper(found).shape([row(created=text)], NOW_MS).signal["occurred_at_ms"] == 1_714_545_000_000


def test_transforms_maps_prefixes_defaults(tmp_path: Path) -> None:
    payload = {
        **ORDERS["payload"],
        "currency": {"column": "mail", "transform": ["upper"], "map": {"TL": "TRY"}, "default": "EUR"},
        "coupon": {"column": "sku", "prefix": "x-"},
        "amount_minor": {"column": "price", "minor": 2},
    }
    who = [{"kind": "phone", "column": "customer"}]
    make = shaper(rules(tmp_path, {"payload": payload, "identifiers": who}), region="IR")
    signal = make.shape([row(customer="۰۹۱۲ ۳۴۵ ۶۷۸۹", mail=" tl ", price="۱٬۲۰۰٫۵۰")], NOW_MS).signal
    transaction = signal["transaction"]
    assert transaction is not None
    assert (transaction["currency"], transaction["coupon"]) == ("TRY", "x-tea")
    assert transaction["amount_minor"] == 120_050
    assert signal["identifiers"] == [{"kind": "phone", "value": "+989123456789", "original": "۰۹۱۲ ۳۴۵ ۶۷۸۹"}]
    assert make.shape([row(customer="09123456789")], NOW_MS).signal["transaction"]["currency"] == "EUR"  # type: ignore[index]  # it is there


def test_traits_and_dotted_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "crm",
                "kind": "traits",
                "signal": "contact_updated",
                "time": {"column": "at", "format": "epoch_s"},
                "identifiers": [{"kind": "email", "column": "who.mail"}],
                "traits": {"city": "home.city", "vip": {"column": "vip"}, "none": "nothing"},
                "context": {"locale": {"const": "fa-IR"}},
            }
        )
    )
    item = {"at": 1714545000, "who": {"mail": "a@b.cd"}, "home": {"city": "Shiraz"}, "vip": True}
    signal = shaper(load(path), by_name).shape([item], NOW_MS).signal
    assert signal["traits"] == {"values": {"city": "Shiraz", "vip": "True"}}
    assert signal["context"]["locale"] == "fa-IR"


@given(st.lists(st.text(max_size=5), min_size=2, max_size=4), st.lists(st.text(max_size=5), min_size=2, max_size=4))
def test_ids_differ_when_cells_do(first: list[str], second: list[str]) -> None:
    """Moving a character from one cell to the next makes another id."""
    found = Rules(
        name="n",
        kind="traits",
        signal="s",
        time={"column": "t"},  # type: ignore[arg-type]  # only ids are made here
        identifiers=(),
    )
    make = Shaper.__new__(Shaper)
    make._id, make._seed, make._whole, make._rules = [], b"n\0", lambda row: row, found
    assert (make._id_of([first]) == make._id_of([second])) == (first == second)


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "imports" / "x.json"
    assert read(path) is None
    there = Progress(offset=10, line=3, rows=2)
    write(path, there)
    assert read(path) == there
    path.write_text("{")
    with pytest.raises(FileError, match="damaged"):
        read(path)


def test_the_broker_decides_where_to_begin() -> None:
    class File:
        start = Progress(offset=4, line=2).place

    early, late = Progress(offset=10, line=3), Progress(offset=20, line=5)
    begin: Any = File()
    assert starting_point(begin, late, early) is late
    assert starting_point(begin, None, early) is early
    assert starting_point(begin, None, None).place == File.start
    with pytest.raises(FileError, match="ahead of the broker"):
        starting_point(begin, early, late)


def test_the_grouped_mapping_of_the_documentation_holds(tmp_path: Path) -> None:
    assert rules(tmp_path, GROUPED).group_by == ("order_no",)
    from connectors.files import mapping

    text = (mapping.__doc__ or "").split(".. code-block:: yaml")[1]
    path = tmp_path / "doc.yaml"
    path.write_text("\n".join(line[4:] for line in text.splitlines()))
    assert load(path).name == "shop-orders"


def test_kinds_that_identity_yaml_declares_may_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    who = [{"kind": "national_id", "column": "customer"}]
    path.write_text(yaml.safe_dump({**ORDERS, "identifiers": who}))
    with pytest.raises(FileError, match="must be one of user_id"):
        load(path)
    assert load(path, (*KINDS, "national_id")).identifiers[0].kind == "national_id"
