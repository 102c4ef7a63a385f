"""The operators' page of near matches: two golden records side by side, and two buttons."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

from connectors.desk.lines import ltr
from connectors.desk.locale import Locale, plain
from connectors.desk.pages import Desk
from connectors.gateway.refusal import Refusal
from connectors.gateway.reviews import Queue
from connectors.operate.reviews import Review, Row, is_id
from connectors.operate.rulings import RulingError

# Questions on one page: what a person answers in ten minutes.
ON_PAGE = 10

# Signs stay where they are in a page from right to left.
_LTR = frozenset({"phone", "email"})


class Shown(NamedTuple):
    """A question in an agent's language."""

    id: str
    chance: str
    household: str
    since: str
    limit: str
    people: tuple[tuple[str, str], tuple[str, str]]
    rows: list[tuple[str, str, str, str, str]]
    members: tuple[list[tuple[str, str]], list[tuple[str, str]]]


def shown(review: Review, locale: Locale) -> Shown:
    """Return a question for the page."""
    names = (plain(name, 60) or locale.word("unknown person") for name in review.names)
    ours, theirs = ([_member(each, locale) for each in side] for side in review.members)
    one, other = zip(review.customers, names, strict=True)
    return Shown(
        review.id,
        locale.percent(review.match),
        locale.percent(review.household) if review.household >= 0.005 else "",
        locale.date(review.since_ms),
        locale.word("review limit").format(locale.word(review.limit)) if review.limit else "",
        (one, other),
        [_row(row, locale) for row in review.rows],
        (ours, theirs),
    )


def _row(row: Row, locale: Locale) -> tuple[str, str, str, str, str]:
    agreement = locale.word(f"agrees {row.agreement}") if row.agreement else ""
    one, other = plain(row.one, 80), plain(row.other, 80)
    if row.name in _LTR:
        one, other = (ltr(each) if each else "" for each in (one, other))
    return locale.word(f"trait {row.name}"), one, other, row.agreement, agreement


def _member(member: Mapping[str, Any], locale: Locale) -> tuple[str, str]:
    return locale.word(member["kind"]), ltr(plain(member["value"], 60))


class ReviewPages:
    """The handlers.

    Parameters
    ----------
    desk : who is signed in, languages and templates
    queue : questions and answers
    """

    def __init__(self, desk: Desk, queue: Queue) -> None:
        self._desk = desk
        self._queue = queue

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/desk/reviews", self._desk.signed_in(self._page))
        app.router.add_post("/desk/reviews/{id}", self._desk.signed_in(self._answer))

    def _operator(self, request: web.Request) -> str:
        """Return who answers.

        Raises
        ------
        Refusal
            403, for who may look at customers but not rule
        """
        key = self._desk.key(request)
        if key is None or not key.may("rule"):
            raise Refusal(403, "forbidden", "only operators answer whether two customers are one person")
        return key.name

    async def _page(self, request: web.Request) -> web.Response:
        self._operator(request)
        return await self._show(request, "", 200)

    async def _show(self, request: web.Request, message: str, status: int) -> web.Response:
        locale = self._desk.locale(request)
        try:
            reviews, total = await self._queue.most_probable(ON_PAGE)
        except Refusal as refusal:
            reviews, total, message, status = [], 0, "away", refusal.status
        return self._desk.render(
            request,
            "reviews.html",
            status=status,
            reviews=[shown(each, locale) for each in reviews],
            total=locale.number(total),
            message=message,
        )

    async def _answer(self, request: web.Request) -> web.Response:
        by = self._operator(request)
        id_ = request.match_info["id"]
        form = await request.post()
        said, reason = form.get("same"), form.get("reason")
        if not is_id(id_) or said not in {"yes", "no"} or not isinstance(reason, str):
            raise Refusal(400, "bad-answer", "an answer is yes or no, and why")
        try:
            await self._queue.answer(id_, same=said == "yes", reason=reason, by=by)
        except RulingError as error:
            return await self._show(request, f"review {error.code}", 400)
        except Refusal as refusal:
            return await self._show(request, "review settled" if refusal.status == 404 else "away", refusal.status)
        raise web.HTTPSeeOther("/desk/reviews")
