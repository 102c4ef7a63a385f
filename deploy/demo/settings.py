"""What the demo's stack is told: its channels, its clock, and no Kafka or Redis but its own."""

import os
from pathlib import Path

import yaml

from deploy.demo.hooks import CHANNELS
from schemas.codecs import Codecs
from schemas.registry import SchemaRegistry

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
PARTITIONS = 4
# Settings of the user's that the demo's stack gets as well: how it writes and stores, never where to.
_PASSED_ON = ("SADA_SCHEMA_REGISTRY", "SADA_STORE")


def settings(var: Path, *, gateway_port: int, smtp_port: int, hooks_port: int, secret: str) -> dict[str, str]:
    """Return the environment of the demo's stack; its channels file is written.

    Parameters
    ----------
    var : the demo's folder
    gateway_port, smtp_port, hooks_port : of the gateway, and of the peers that messages go to
    secret : with which Sada signs webhooks
    """
    return {
        **{name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)},
        "SADA_TICK_S": "0",  # the shop's clock ticks
        # An hour of the shop is 10 ms: company for a signal is worth two of them. 100 ms saved nothing more where the
        # workers are busy: their batches fill by themselves.
        "SADA_COMMIT_LINGER_MS": "20",
        "SADA_PARTITIONS": str(PARTITIONS),
        "SADA_CATALOGUE": str(CATALOGUE),
        "SADA_CHANNELS": str(_channels_file(var, smtp_port, hooks_port).resolve()),
        "SADA_PUBLIC_URL": f"http://127.0.0.1:{gateway_port}",
        "SADA_DEMO_WEBHOOK_SECRET": secret,
    }


def codecs() -> Codecs:
    """Return the codecs of the demo's topics: with the schema registry where SADA_SCHEMA_REGISTRY names one."""
    url = os.environ.get("SADA_SCHEMA_REGISTRY")
    return Codecs(str, SchemaRegistry(url) if url else None)


def _channels_file(var: Path, smtp_port: int, hooks_port: int) -> Path:
    email = {
        "kind": "smtp",
        "host": "127.0.0.1",
        "port": smtp_port,
        "tls": "none",
        "from_address": "Sada's shop <hello@shop.example>",
    }
    hooks = {
        name: {
            "kind": "webhook",
            "endpoints": {
                "default": {
                    "url": f"http://127.0.0.1:{hooks_port}/{name}",
                    "secret_env": "SADA_DEMO_WEBHOOK_SECRET",
                    "allow_loopback": True,
                }
            },
        }
        for name in CHANNELS
    }
    inboxes = {"web": {"kind": "inbox"}, "app": {"kind": "inbox"}}
    path = var / "channels.yaml"
    path.write_text(yaml.safe_dump({"channels": {"email": email, **hooks, **inboxes}}))
    return path
