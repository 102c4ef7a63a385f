"""THE table of outbound channels: kind of configuration to connector. A new kind is a new row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from connectors.outbound.channels import ChannelConfig
from connectors.outbound.delivery import Connector
from connectors.outbound.inbox import InboxConnector
from connectors.outbound.smtp import SmtpConnector
from connectors.outbound.tracking import Links, tracking_key
from connectors.outbound.webhook import WebhookConnector
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What connectors may use."""

    settings: Settings
    redis: "Redis"

    @property
    def links(self) -> Links | None:
        """The maker of tracked links; None where the world has no way to the gateway."""
        if self.settings.public_url is None:
            return None
        return Links(self.settings.public_url, tracking_key(self.settings.secret("inbox_secret")))


ConnectorFactory = Callable[[str, Any, Surroundings], Connector]

CHANNELS: Mapping[str, ConnectorFactory] = {
    "smtp": lambda _, config, around: SmtpConnector(config, around.links),
    "webhook": lambda channel, config, around: WebhookConnector(
        channel, config, around.redis, around.settings.topic_prefix
    ),
    "inbox": lambda _, config, around: InboxConnector(config, around.redis, around.settings.topic_prefix),
}


def connector(channel: str, config: ChannelConfig, around: Surroundings) -> Connector:
    """Return the connector of a channel.

    Raises
    ------
    SettingsError, FileError
        when it cannot work as configured
    """
    return CHANNELS[config.kind](channel, config, around)
