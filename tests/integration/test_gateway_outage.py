"""The broker or Redis away: nothing is acknowledged that is not kept, and the door opens again by itself."""

import base64
import contextlib
import json
import time
import uuid
from pathlib import Path

import pytest
import requests
from standardwebhooks import Webhook

from deploy.local import kafka as local_kafka
from deploy.local.jars import cache_folder
from deploy.local.processes import free_port, kill, running
from tests.peers.gateway import gateway

pytestmark = pytest.mark.kafka

EVENT = {"event": "E", "userId": "u"}
RULING = {"kind": "split", "one": {"kind": "user_id", "value": "u"}, "reason": "ticket 12"}


@pytest.mark.slow
def test_broker_away_and_back(redis_url: str, tmp_path: Path) -> None:
    """503 with Retry-After while it is away; 200 once it is back; an acknowledged event is in the topic."""
    port = free_port()
    spec = local_kafka.node(
        tmp_path / "kafka", port=port, controller_port=free_port(), cache=cache_folder(tmp_path / "cache")
    )
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running(spec, tmp_path / "kafka.log"))
        door = stack.enter_context(
            gateway(f"127.0.0.1:{port}", redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path / "door")
        )
        assert door.post("/v1/track", EVENT).status_code == 200
        kill(broker)
        away = door.post("/v1/track", EVENT)
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert int(away.headers["Retry-After"]) >= 1
        away = door.post("/v1/identity/rulings", RULING, key="operator")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        time.sleep(3)
        assert requests.get(f"{door.metrics}/readyz", timeout=5).status_code == 503
        assert requests.get(f"{door.metrics}/livez", timeout=5).status_code == 200
        stack.enter_context(running(spec, tmp_path / "kafka.log"))
        id_ = uuid.uuid4().hex
        deadline = time.monotonic() + 30
        while (answer := door.post("/v1/track", {**EVENT, "messageId": id_})).status_code != 200:
            assert answer.status_code == 503
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert door.signals("web", lambda s: s["id"] == id_)


def test_redis_away(kafka: str, tmp_path: Path) -> None:
    """Collection, webhooks and rulings go on; lookups are 503; the page says so in words."""
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    with gateway(kafka, nobody, f"t{uuid.uuid4().hex[:10]}-", tmp_path, SADA_WEBHOOK_SECRET=secret) as door:
        assert door.post("/v1/track", EVENT).status_code == 200
        away = door.get("/v1/customers/user_id/u", key="agent")
        assert (away.status_code, away.json()["code"], away.headers["Retry-After"]) == (503, "unavailable", "5")
        ruled = door.post("/v1/identity/rulings", RULING, key="operator")
        assert ruled.status_code == 202
        assert door.rulings(lambda r: bool(r["id"] == ruled.json()["id"]))
        assert door.get(ruled.json()["status"], key="agent").status_code == 503
        page = door.get(f"/desk/customers/{'0' * 32}", key="agent")
        assert (page.status_code, "away for a moment" in page.text) == (503, True)
        body = json.dumps(
            {
                "kind": "traits",
                "name": "n",
                "channel": "crm",
                "identifiers": [{"kind": "user_id", "value": "u"}],
                "traits": {},
            }
        )
        from datetime import UTC, datetime

        now = datetime.now(UTC)
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign("m1", now, body),
        }
        answer = requests.post(f"{door.url}/v1/webhooks/standard/local", data=body, headers=headers, timeout=20)
        assert answer.status_code == 200
        assert door.signals("crm", lambda s: s["source"] == "standard/local")
