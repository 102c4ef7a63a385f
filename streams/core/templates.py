"""What marketers' Liquid templates may hold: checked when a catalogue is saved, so that nothing is half-rendered later.

Only what always ends quickly is taken: conditions and comments, no loops, no assignments, no file inclusion, and a
list of filters; so the output is about as long as the template and its values. Values are escaped by the channel.
"""

from collections.abc import Iterable, Sequence

from liquid import Environment, StrictUndefined
from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis

TAGS = frozenset({"if", "unless", "case", "comment"})
FILTERS = frozenset(
    {"append", "at_least", "at_most", "capitalize", "default", "divided_by", "downcase", "escape", "minus", "plus"}
    | {"prepend", "round", "size", "slice", "strip", "times", "truncate", "truncatewords", "upcase"}
)
# Nested ifs; the parser recurses.
_MAX_NESTING = 8
# Tags and outputs in one template: rendering is linear in them.
_MAX_PARTS = 500
# Values in the trial rendering: numbers in words, which both text and number filters take.
_EXAMPLE = "12"


class TemplateError(ValueError):
    """A template that is refused; the message says what and what to write instead."""


class _Environment(Environment):
    block_nesting_limit = _MAX_NESTING
    loop_iteration_limit = 1
    output_stream_limit = 100_000
    local_namespace_limit = 1


_ENVIRONMENT = _Environment(undefined=StrictUndefined)


def check_template(source: str, params: Iterable[str]) -> None:
    """Check a template against the parameters that it will be given.

    Raises
    ------
    TemplateError
        when it does not parse, uses a tag or a filter that is not taken, or a name that is not a parameter

    Examples
    --------
    >>> check_template("Hello {{ name | default: 'friend' }}", ["name"])
    """
    if source.count("{{") + source.count("{%") > _MAX_PARTS:
        raise TemplateError(f"has more than {_MAX_PARTS} tags and outputs: simplify it")
    try:
        template = _ENVIRONMENT.from_string(source)
        analysis = template.analyze()
    except RecursionError:
        raise TemplateError("is nested too deep: simplify it") from None
    except LiquidError as exc:
        raise TemplateError(f"is not Liquid: {str(exc).splitlines()[0][:200]}") from None
    given = sorted(params)
    _check_names(analysis, given)
    try:
        template.render(**dict.fromkeys(given, _EXAMPLE))
    except (LiquidError, RecursionError) as exc:
        raise TemplateError(f"cannot be rendered: {str(exc).splitlines()[0][:200]}") from None


def _check_names(analysis: TemplateAnalysis, given: Sequence[str]) -> None:
    for kind, used, taken in (
        ("the tag", analysis.tags, TAGS),
        ("the filter", analysis.filters, FILTERS),
    ):
        for name in sorted(used):
            if name not in taken:
                raise TemplateError(f"{kind} {name} is not taken; there are {', '.join(sorted(taken))}")
    for name, places in sorted(analysis.globals.items()):
        if name not in given:
            there = ", ".join(given) or "none: add params to the action"
            raise TemplateError(f"{name} is not a parameter of the action; there are {there}")
        if any(len(place.segments) > 1 for place in places):
            raise TemplateError(f"{name} is a single value: write {name}, without a dot or bracket after it")
