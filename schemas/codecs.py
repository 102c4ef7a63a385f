"""Which codec a topic has: THE place where a deployment's wire format is decided.

With a schema registry, public topics are framed as Confluent frames them, so that any client of the registry reads and
writes them. Internal topics are always single-object encoded: nobody else reads them, and Sada's own mail must not wait
for a registry. Readers of public topics take both, so a registry can be brought in while records of before still lie
there.
"""

from collections.abc import Callable

from schemas.registry import RegistryError
from schemas.topics import TOPICS
from schemas.wire import Codec, Registry, codec_of


def subject_of(topic: str) -> str:
    """Return Confluent's subject of a topic's values, from its full name."""
    return f"{topic}-value"


class Codecs:
    """The codecs of one deployment, by topic.

    Parameters
    ----------
    topic : a topic's full name from its name in the table (``Settings.topic``)
    registry : with one, public topics are framed as Confluent frames them

    Examples
    --------
    >>> codecs = Codecs(lambda name: f"shop-{name}")
    >>> codecs.of("ticks").decode(codecs.of("ticks").encode({"at_ms": 7}))
    {'at_ms': 7}
    """

    def __init__(self, topic: Callable[[str], str], registry: Registry | None = None) -> None:
        self.topic = topic
        self._registry = registry
        self._codecs: dict[str, Codec] = {}

    def of(self, name: str) -> Codec:
        """Return the codec of a topic, by its name in the table.

        The registry is asked for a public topic's id the first time only: ask at the start, not on the way.

        Raises
        ------
        RegistryError
            when the registry does not answer, or does not hold the topic's schema
        """
        found = self._codecs.get(name)
        if found is None:
            found = self._codecs[name] = self._made(name)
        return found

    def _made(self, name: str) -> Codec:
        topic = TOPICS[name]
        if self._registry is None or not topic.public:
            return codec_of(topic.schema)
        subject = subject_of(self.topic(name))
        try:
            return Codec(topic.schema, self._registry, subject)
        except LookupError as exc:
            raise RegistryError(
                f"the schema registry holds no {topic.schema} as we write it under {subject}: run `sada topics`"
            ) from exc
