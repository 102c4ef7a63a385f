"""A person's records out of the topics, for a command, or for an export that the API was asked for."""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.privacy.export import OF_TOPICS
from connectors.privacy.scan import scan
from connectors.privacy.theirs import Theirs
from schemas.identifiers import Hasher
from streams.settings import Settings


class TooMuchError(Exception):
    """A person's records are more than may be held at once."""


def of_topics(
    profile: Mapping[str, Any], settings: Settings, passed: Callable[[int, int], None], *, most_bytes: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return a person's records by section of the export.

    Parameters
    ----------
    profile : as the view holds it
    settings : of the live generation
    passed : told how many records were passed, and of how many
    most_bytes : of the records as they lie in the topics; None: as many as there are

    Raises
    ------
    TooMuchError
        when there are more
    SilentError
        when Kafka does not answer, or does not let us read
    """
    theirs = Theirs(profile, settings.codecs(), Hasher(settings.secret("node_key")), settings.identity_rules())
    pickers = {settings.topic(name): row for name, row in theirs.topics.items()}
    found: dict[str, list[dict[str, Any]]] = {section: [] for section in OF_TOPICS}
    held = 0
    for topic, raw in scan(settings.librdkafka(), list(pickers), passed):
        section, pick = pickers[topic]
        record = pick(raw)
        if record is not None:
            held += len(raw)
            if most_bytes is not None and held > most_bytes:
                raise TooMuchError
            found[section].append(record)
    return found
