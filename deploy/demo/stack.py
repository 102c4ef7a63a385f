"""The stack under the demo: `sada up` as a child with fresh state, on free ports, gone at the end."""

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from deploy.local.preflight import owner
from deploy.local.processes import ProcessSpec, spawn, stop, tail
from deploy.local.topology import sada
from deploy.local.up import UpFile

# Java, five Pythons and their models on two busy cores.
START_TIMEOUT_S = 240.0
# A supervisor stops its tiers within their graces; then it is killed, and its children with it.
STOP_TIMEOUT_S = 75.0
# A folder that holds this is the demo's own and may be emptied.
MARK = ".sada-demo"


class DemoError(Exception):
    """The demo cannot start or go on; the message says what, where and what to do."""


def fresh(var: Path) -> None:
    """Make the demo's folder, or empty it: every demo begins with a new shop.

    Raises
    ------
    DemoError
        when the folder is not the demo's own, or a stack still runs in it
    """
    if var.exists() and any(var.iterdir()):
        if not (var / MARK).exists():
            raise DemoError(
                f"{var} is not a folder of the demo, and it would be emptied. Name another with --var, "
                f"or remove it yourself."
            )
        pid = owner(var)
        if pid is not None:
            raise DemoError(f"A demo runs in {var} (pid {pid}). Stop it with `sada down --var {var}`.")
        shutil.rmtree(var)
    var.mkdir(parents=True, exist_ok=True)
    (var / MARK).touch()


def channels_file(var: Path, *, smtp_port: int, hooks_port: int, names: tuple[str, ...]) -> Path:
    """Write the channels file of the demo and return its path; the secret's variable is SADA_DEMO_WEBHOOK_SECRET."""
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
        for name in names
    }
    inboxes = {"web": {"kind": "inbox"}, "app": {"kind": "inbox"}}
    path = var / "channels.yaml"
    path.write_text(yaml.safe_dump({"channels": {"email": email, **hooks, **inboxes}}))
    return path


@contextlib.contextmanager
def stack(var: Path, environment: Mapping[str, str], *, gateway_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sada up` while the block runs; whatever happens, nothing of it is left."""
    args = ("--var", str(var), "--gateway-port", str(gateway_port), "--kafka-port", "0", "--redis-port", "0")
    spec = ProcessSpec("up", (*sada("up"), *args, "--workers", "2"), ready=lambda: True, env=environment)
    child = spawn(spec, var / "up.log")
    try:
        yield child
    finally:
        stop(child, STOP_TIMEOUT_S)


async def await_up(child: subprocess.Popen[bytes], var: Path) -> UpFile:
    """Wait until the stack is up and return where everything is.

    Raises
    ------
    DemoError
        when it ends first or takes too long
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if child.poll() is not None:
            raise DemoError(f"The stack did not start; {var / 'up.log'} ends:\n{tail(var / 'up.log')}")
        found = read_up(var)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"The stack was not up after {START_TIMEOUT_S:.0f} s; see {var / 'up.log'}.")
        await asyncio.sleep(0.1)


def read_up(var: Path) -> UpFile | None:
    """Return the stack's addresses and processes as they are now, None while not all is up."""
    try:
        return msgspec.json.decode((var / "up.json").read_bytes(), type=UpFile)
    except FileNotFoundError:
        return None
