"""Twilio's inbound messages, SMS and WhatsApp → messages. Parameters may grow without notice; ours are picked."""

from collections.abc import Mapping
from typing import Any

from connectors.inbound.fields import PayloadError

_WHATSAPP = "whatsapp:"


def messages(_: Mapping[str, str], payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the message that a webhook comes to.

    Raises
    ------
    PayloadError
        missing-field, when it is not an inbound message
    """
    sender = payload.get("From")
    if not isinstance(sender, str) or "Body" not in payload:
        raise PayloadError("missing-field", "From or Body is missing: not an inbound message")
    return [
        {
            "type": "track",
            "event": "Message Received",
            "context": {
                "channel": "whatsapp" if sender.startswith(_WHATSAPP) else "sms",
                "traits": {"phone": sender.removeprefix(_WHATSAPP)},
            },
            "properties": {"text": payload["Body"], "thread_id": payload.get("To")},
        }
    ]
