"""The file of the golden record's rules, read once when a worker starts."""

from dataclasses import replace
from pathlib import Path

from schemas.document import DocumentError
from schemas.identity_rules import IdentityRules
from streams.core.rules import NO_RULES, Rules
from streams.core.rules_check import read_rules
from streams.settings import SettingsError


def load_rules(path: Path | None, identity: IdentityRules | None = None, *, text: str | None = None) -> Rules:
    """Return the rules that a file holds; none where there is no file, and the kinds that tell a person.

    Parameters
    ----------
    path : of rules.yaml
    identity : whose known kinds tell a person, and whose sources are believed where the file has no section
        ``sources`` of its own
    text : what the file held when a generation was made; it counts instead of the file

    Raises
    ------
    SettingsError
        when it cannot be read, or is refused: with every problem, each by line and path
    """
    known = (identity or IdentityRules()).known
    if path is None and text is None:
        return replace(NO_RULES, known=known)
    path = path or Path("rules.yaml")
    try:
        held = path.read_text("utf-8-sig") if text is None else text
        return replace(read_rules(held, str(path), trust=_trust(identity)), known=known)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"SADA_RULES: {path} cannot be read: {exc}") from None
    except DocumentError as exc:
        raise SettingsError(f"SADA_RULES:\n{exc}") from None


def _trust(identity: IdentityRules | None) -> dict[str, int]:
    """Return sources' ranks, the higher the more trusted, 0 for who is not named: there the lower rank is believed."""
    if identity is None:
        return {}
    return {source: identity.others.rank - trust.rank for source, trust in identity.sources.items()}
