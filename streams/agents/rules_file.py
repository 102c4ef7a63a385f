"""The file of the golden record's rules, read once when a worker starts."""

from pathlib import Path

from schemas.document import DocumentError
from streams.core.rules import NO_RULES, Rules
from streams.core.rules_check import read_rules
from streams.settings import SettingsError


def load_rules(path: Path | None) -> Rules:
    """Return the rules that a file holds; none where there is no file.

    Raises
    ------
    SettingsError
        when it cannot be read, or is refused: with every problem, each by line and path
    """
    if path is None:
        return NO_RULES
    try:
        return read_rules(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"SADA_RULES: {path} cannot be read: {exc}") from None
    except DocumentError as exc:
        raise SettingsError(f"SADA_RULES:\n{exc}") from None
