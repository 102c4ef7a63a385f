"""Templates: what marketers need works, and what attackers try ends quickly with a reason."""

import time

import pytest

from connectors.outbound.templates import MAX_OUTPUT_BYTES, TemplateError, render, render_line

DOUBLE = "{% assign s = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' %}" + "{% assign s = s | append: s %}" * 40
SQUARE = "{% assign n = 9999999 %}" + "{% assign n = n | times: n %}" * 40
NEST = "{% for i in (1..20) %}{% for j in (1..25) %}"
END = "{% endfor %}{% endfor %}"

BOMBS = {
    "text doubling": DOUBLE,
    "number squaring": SQUARE,
    "a long loop": "{% for i in (1..1000000) %}a{% endfor %}",
    "a huge range joined": "{{ (1..1000000000) | join: 'a' }}",
    "a huge range's size": "{{ (1..1000000000) | first }}",
    "much output": "{% capture s %}" + "x" * 300 + "{% endcapture %}{% for i in (1..500) %}{{ s }}{% endfor %}",
    "filters in loops": NEST + "{{ name | upcase | downcase }}{% capture z %}1{% endcapture %}" * 300 + END,
    "empty blocks in loops": NEST + "{% if 1 %}{% endif %}" * 900 + END,
    "deep nesting": "{% if true %}" * 1500,
    "openings without end": "{{" * 9_000,
    "ends before openings": "}}" * 4_500 + "{{" * 4_500,
    "raw blocks without end": "{% raw %}" * 2_000,
    "doc blocks without end": "{%- doc %}" * 1_900,
    "blanks": ("{{" + " " * 900 + "}}") * 20,
    "too long": "a" * 30_000,
    "list times list": "{% assign a = name | split: '' %}"
    "{% assign b = a | join: '" + "y" * 900 + "' %}{% assign a = b | split: '' %}" * 9,
    "truncate": "{{ name | truncate: 99999999999999999999999 }}",
}

ESCAPES = {
    "attributes": "{{ name.__class__.__mro__ }}",
    "subscripts": "{{ name['__class__'] }}",
    "include": "{% include 'etc/passwd' %}",
    "render": "{% render 'x' %}",
    "an unknown filter": "{{ name | system }}",
    "the clock": "{{ 'now' | date: '%s' }}",
    "a format bomb": "{{ '2024' | date: '%1000000000Y' }}",
    "an undefined name": "Dear {{ nobody }}",
    "an undefined part": "{{ name.first }}",
    "an undefined name in a condition": "{% if nobody %}x{% endif %}",
    "an undefined name in a filter": "{{ nobody | upcase }}",
    "not closed": "Dear {{ name",
    "an unknown tag": "{% python %}",
    "division by zero": "{{ 1 | divided_by: 0 }}",
    "infinity": "{{ 1 | times: 'inf' }}",
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_time(source: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateError):
        render(source, {"name": "Sara" * 8})
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("source", ESCAPES.values(), ids=ESCAPES.keys())
def test_there_is_no_way_out_and_nothing_is_half_rendered(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source, {"name": "Sara"})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Dear {{ name }}", "Dear Sara"),
        ("{{ missing | default: 'friend' }}", "friend"),
        ("{{ nothing | default: 'friend' }}", "friend"),
        ("{% if vip == 'yes' %}Madam{% else %}Hi{% endif %} {{ name | upcase }}", "Madam SARA"),
        ("{% assign tags = 'a,b' | split: ',' %}{% for tag in tags %}[{{ tag }}]{% endfor %}", "[a][b]"),
        ("{{ price | times: 2 | plus: 1 }}", "9"),
        ("{% case vip %}{% when 'yes' %}ok{% endcase %}{% comment %}x{% endcomment %}", "ok"),
        ("سلام {{ name }}", "سلام Sara"),
    ],
)
def test_what_marketers_write(source: str, expected: str) -> None:
    values = {"name": "Sara", "vip": "yes", "price": "4", "nothing": ""}
    assert render(source, values) == expected


def test_values_are_not_templates() -> None:
    """What a customer typed is shown, never run."""
    assert render("{{ name }}", {"name": "{{ secret }}{% raw %}"}) == "{{ secret }}{% raw %}"


@pytest.mark.parametrize("breaker", ["\r\nBcc: x@y.z", "\n", "\x00", "\u2028", "\x7f"])
def test_a_subject_is_one_line(breaker: str) -> None:
    with pytest.raises(TemplateError, match="line"):
        render_line("Hi {{ name }}", {"name": f"a{breaker}b"})


def test_output_up_to_the_cap_passes() -> None:
    assert len(render("{{ text }}", {"text": "x" * MAX_OUTPUT_BYTES})) == MAX_OUTPUT_BYTES
    with pytest.raises(TemplateError):
        render("{{ text }}a", {"text": "x" * MAX_OUTPUT_BYTES})
