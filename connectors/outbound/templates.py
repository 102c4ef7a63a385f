"""Liquid templates of marketers, rendered so that no template can harm the process.

python-liquid has no way out to Python; what remains are bombs. So: few tags and filters, caps on the template, on
every intermediate value, on the output and on time, and undefined names are errors: nothing is ever half-rendered.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import _GeneratorContextManager
from functools import lru_cache, wraps
from typing import Any, ClassVar

from liquid import BoundTemplate, Environment, Mode, RenderContext, StrictDefaultUndefined, Token
from liquid.exceptions import LiquidError
from liquid.output import LimitedStringIO

# A long newsletter has 10,000 characters of text.
MAX_TEMPLATE = 20_000
MAX_MARKUP = 1_000  # characters between {{ and }} or {% and %}
MAX_OUTPUT_BYTES = 65_536
MAX_VALUE = 65_536  # characters of any intermediate string
MAX_NUMBER = 10**18  # of any intermediate number: money in rials fits
MAX_ITEMS = 1_000  # of any intermediate list
# A template of a page takes under 1 ms; 250 ms is a machine under load or an attack.
MAX_RENDER_S = 0.25

# The first three are the parser's own: text, output, and the error for what has no place.
_TAGS = frozenset(
    [
        "content",
        "output",
        "illegal",
        "if",
        "unless",
        "case",
        "for",
        "break",
        "continue",
        "assign",
        "capture",
        "comment",
        "echo",
        "#",
    ]
)
# Not among them: date (a format like %1000000Y is a bomb, and it reads the clock), replace (n times m characters).
_FILTERS = frozenset(
    [
        "abs",
        "at_least",
        "at_most",
        "ceil",
        "floor",
        "divided_by",
        "minus",
        "plus",
        "round",
        "times",
        "modulo",
        "append",
        "prepend",
        "capitalize",
        "downcase",
        "upcase",
        "strip",
        "lstrip",
        "rstrip",
        "strip_newlines",
        "truncate",
        "truncatewords",
        "remove",
        "replace_first",
        "default",
        "escape",
        "slice",
        "split",
        "join",
        "first",
        "last",
        "size",
        "url_encode",
    ]
)


_MARKUP = re.compile(r"\{[{%]")
_GAP = re.compile(r"\s{40}")
_BLOCK = re.compile(r"\{%-?\s*(raw|doc)\b")


class TemplateError(ValueError):
    """A template that cannot be rendered; the message says why and holds none of the customer's values."""


class _Context(RenderContext):
    """A render context that watches the clock wherever a template can spend time."""

    deadline: float = 0.0  # monotonic seconds

    def tick(self) -> None:
        if time.monotonic() > self.deadline:
            raise TemplateError(f"takes longer than {MAX_RENDER_S} s")

    def get(self, path: list[object], *, token: Token | None, **kwargs: Any) -> object:
        self.tick()
        return super().get(path, token=token, **kwargs)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        self.tick()
        return super().filter(name, token)

    def loop(
        self, namespace: Mapping[str, object], forloop: Any
    ) -> _GeneratorContextManager[RenderContext, None, None]:
        forloop.it = self._ticking(forloop.it)
        return super().loop(namespace, forloop)

    def _ticking(self, items: Iterable[object]) -> Iterator[object]:
        for item in items:
            self.tick()
            yield item


class _Environment(Environment):
    context_depth_limit: ClassVar[int] = 20
    loop_iteration_limit: ClassVar[int | None] = 500
    local_namespace_limit: ClassVar[int | None] = 4 * MAX_VALUE
    output_stream_limit: ClassVar[int | None] = MAX_OUTPUT_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: tag for name, tag in self.tags.items() if name in _TAGS}
        self.filters = {name: _guarded(self.filters[name]) for name in _FILTERS if name in self.filters}


def _check_markup(source: str) -> None:
    """Refuse what liquid's lexer takes quadratic time for: markup that does not end, raw and doc blocks."""
    at = 0
    while (opened := _MARKUP.search(source, at)) is not None:
        closer = "}}" if opened.group() == "{{" else "%}"
        closed = source.find(closer, opened.end(), opened.end() + MAX_MARKUP)
        if closed < 0:
            line = source.count("\n", 0, opened.start()) + 1
            raise TemplateError(
                f"line {line}: {opened.group()} is not closed by {closer} within {MAX_MARKUP} characters"
            )
        if _GAP.search(source, opened.end(), closed):
            raise TemplateError("has more than 40 blanks in a row inside markup")
        if _BLOCK.match(source, opened.start()):
            raise TemplateError("uses a raw or doc block, which is not offered")
        at = closed + 2


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_VALUE:
        raise TemplateError(f"makes a text of {len(value)} characters; at most {MAX_VALUE} are allowed")
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise TemplateError(f"makes a number beyond {MAX_NUMBER:g}")
    if isinstance(value, list | tuple | range) and len(value) > MAX_ITEMS:
        raise TemplateError(f"makes a list of {len(value)} items; at most {MAX_ITEMS} are allowed")
    return value


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Bound what goes into a filter and what comes out; the filters kept grow their input at most twelvefold."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        # An undefined name raises at any look at it; the filter itself shall decide (default takes it).
        known = [a for a in args if type(a) is not StrictDefaultUndefined]
        for argument in known:
            _bounded(argument)
        items = sum(len(a) for a in known if isinstance(a, list | tuple))
        if items * max((len(a) for a in known if isinstance(a, str)), default=0) > MAX_VALUE:
            raise TemplateError("joins more text than is allowed")
        return _bounded(function(*args, **kwargs))

    return guarded


_ENVIRONMENT = _Environment(tolerance=Mode.STRICT, undefined=StrictDefaultUndefined, strict_filters=True)


# 256 templates: a large catalogue's treatments in its languages; parsing costs a hundred times what rendering does.
@lru_cache(maxsize=256)
def parse(source: str) -> BoundTemplate:
    """Return a template, checked.

    Raises
    ------
    TemplateError
        when it is too long, not Liquid, or uses a tag or filter that is not offered
    """
    if len(source) > MAX_TEMPLATE:
        raise TemplateError(f"has {len(source)} characters; at most {MAX_TEMPLATE} are taken")
    _check_markup(source)
    try:
        return _ENVIRONMENT.from_string(source)
    except RecursionError:
        raise TemplateError("is nested too deeply") from None
    except LiquidError as exc:
        raise TemplateError(_short(exc)) from exc


def render(source: str, values: Mapping[str, str]) -> str:
    """Return the text of a template.

    Parameters
    ----------
    source : Liquid
    values : what the template may name; a name outside is an error, use ``default`` for what may be missing

    Raises
    ------
    TemplateError
        when it cannot be parsed or rendered within the caps

    Examples
    --------
    >>> render("Salam {{ name | default: 'friend' }}!", {"name": "Sara"})
    'Salam Sara!'
    """
    template = parse(source)
    context = _Context(template, globals=dict(values))
    context.deadline = time.monotonic() + MAX_RENDER_S
    out = LimitedStringIO(limit=MAX_OUTPUT_BYTES)
    try:
        template.render_with_context(context, out)
    except LiquidError as exc:
        raise TemplateError(_short(exc)) from exc
    except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, AttributeError) as exc:
        if isinstance(exc, TemplateError):
            raise
        raise TemplateError(f"cannot be rendered: {type(exc).__name__}") from exc
    return out.getvalue()


def render_line(source: str, values: Mapping[str, str]) -> str:
    """Return the text of a template that must be one line: a subject or a title.

    Raises
    ------
    TemplateError
        also when the result holds a line break or another control character (header injection)
    """
    text = render(source, values).strip()
    if any(ord(c) < 32 or ord(c) == 127 or c in "\u0085\u2028\u2029" for c in text):
        raise TemplateError("makes a line with a control character or line break")
    return text


def _short(error: LiquidError) -> str:
    """Return the first line of liquid's message: the others quote the template."""
    return str(error.args[0] if error.args else error).splitlines()[0][:200]
