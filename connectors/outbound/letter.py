"""An e-mail's text: headers, a plain part and a simple HTML part, right to left where the language is."""

import html
import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

from connectors.outbound.delivery import Delivery
from connectors.outbound.errors import PermanentError
from connectors.outbound.tracking import Links

RIGHT_TO_LEFT = frozenset({"fa", "ar", "he", "ur", "ps", "ckb", "sd", "ug", "yi", "dv"})

# Python would wrap a long URL into an encoded word, which no reader follows; SMTP's own limit is 998.
_UNFOLDED = SMTP.clone(max_line_length=990)

_URL = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}]")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a message is made of."""

    delivery: Delivery
    sender: str
    reply_to: str | None
    to: str
    subject: str
    body: str
    unsubscribe_mailto: str | None


def direction(language: str) -> str:
    """Return rtl or ltr for a BCP 47 language.

    Examples
    --------
    >>> direction("fa-IR"), direction("en")
    ('rtl', 'ltr')
    """
    return "rtl" if language.split("-", maxsplit=1)[0].lower() in RIGHT_TO_LEFT else "ltr"


def compose(letter: Letter, links: Links | None) -> EmailMessage:
    """Return the message.

    Its Message-ID is derived from the action's id, so that a repeat is recognised by whoever keeps ids.

    Raises
    ------
    PermanentError
        bad-message, when a header cannot be written (a line break in it, for example)
    """
    action = letter.delivery.action
    domain = parseaddr(letter.sender)[1].rpartition("@")[2]
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = letter.sender
        message["To"] = letter.to
        message["Subject"] = letter.subject
        message["Message-ID"] = f"<{action['id']}@{domain}>"
        message["Date"] = formatdate(usegmt=True)
        message["Content-Language"] = action["language"]
        message["Auto-Submitted"] = "auto-generated"
        message["X-Sada-Action"] = action["id"]
        if letter.reply_to:
            message["Reply-To"] = letter.reply_to
        _unsubscribe(message, letter, links)
    except ValueError as exc:
        raise PermanentError("bad-message", f"a header cannot be written: {type(exc).__name__}") from exc
    message.set_content(_plain(letter, links))
    message.add_alternative(_html(letter, links), subtype="html")
    return message


def serialise(message: EmailMessage) -> bytes:
    """Return the message's bytes as they go over the wire."""
    return message.as_bytes(policy=_UNFOLDED)


def _unsubscribe(message: EmailMessage, letter: Letter, links: Links | None) -> None:
    """RFC 2369 and, with a link, one-click by RFC 8058; the relay's DKIM signature must cover both headers."""
    ways = []
    if links is not None:
        ways.append(f"<{links.unsubscribe(letter.delivery)}>")
    if letter.unsubscribe_mailto:
        ways.append(f"<mailto:{letter.unsubscribe_mailto}?subject=unsubscribe>")
    message["List-Unsubscribe"] = ", ".join(ways)
    if links is not None:
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _plain(letter: Letter, links: Links | None) -> str:
    if links is None:
        return letter.body
    return f"{letter.body.rstrip()}\n\n-- \n{links.unsubscribe(letter.delivery)}\n"


def _html(letter: Letter, links: Links | None) -> str:
    language = html.escape(letter.delivery.action["language"], quote=True)
    paragraphs = "".join(
        f"<p>{_linked(part, letter.delivery, links)}</p>" for part in re.split(r"\n\s*\n", letter.body.strip())
    )
    footer = pixel = ""
    if links is not None:
        label = {"fa": "لغو عضویت", "ar": "إلغاء الاشتراك"}.get(
            letter.delivery.action["language"].split("-")[0], "Unsubscribe"
        )
        footer = f'<p><small><a href="{html.escape(links.unsubscribe(letter.delivery))}">{label}</a></small></p>'
        pixel = f'<img src="{html.escape(links.opened(letter.delivery))}" width="1" height="1" alt="">'
    return (
        f'<!doctype html><html lang="{language}" dir="{direction(letter.delivery.action["language"])}">'
        f'<head><meta charset="utf-8"><title>{html.escape(letter.subject)}</title></head>'
        f"<body>{paragraphs}{footer}{pixel}</body></html>"
    )


def _linked(text: str, delivery: Delivery, links: Links | None) -> str:
    """Escape a paragraph; its URLs become links, tracked where we can."""
    out: list[str] = []
    at = 0
    for index, match in enumerate(_URL.finditer(text)):
        url = match.group()
        target = links.clicked(delivery, index, url) if links is not None else url
        out.append(html.escape(text[at : match.start()]))
        out.append(f'<a href="{html.escape(target, quote=True)}">{html.escape(url)}</a>')
        at = match.end()
    out.append(html.escape(text[at:]))
    return "".join(out).replace("\n", "<br>")
