"""What costs seconds of CPU to import is imported by whom it serves, and by nobody else."""

import json
import subprocess
import sys

# In one fresh interpreter: each step, then which of the heavy packages are there.
_SCRIPT = """
import importlib, json, sys
heavy = ("river", "sklearn", "pandas", "scipy")
def loaded():
    return [name for name in heavy if name in sys.modules]
found = {}
from streams import cli
for words in sys.argv[1].split(","):
    try:
        cli.build([words] if words else [])([words, "--help"] if words else ["--help"], prog_name="sada")
    except SystemExit as exc:
        assert not exc.code, words
    found[words] = loaded()
for module in sys.argv[2].split(","):
    importlib.import_module(module)
    found[module] = loaded()
import streams.app
from models.registry import MODELS
found["streams.app"] = loaded()
MODELS["churn"].learner()
found["learner"] = loaded()
print(json.dumps(found), file=sys.stderr)
"""

COMMANDS = ("", "import", "gateway", "deliver", "serve", "worker", "topics")
# What these commands run, beyond their own modules.
PARTS = (
    "connectors.files.session",
    "connectors.gateway.server",
    "connectors.outbound.service",
    "connectors.serve.process",
)


def test_only_a_worker_that_learns_imports_river() -> None:
    """River brings pandas, scikit-learn and SciPy: five seconds of CPU that scoring does not need."""
    command = [sys.executable, "-c", _SCRIPT, ",".join(COMMANDS), ",".join(PARTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    learner, worker = found.pop("learner"), found.pop("streams.app")
    assert "river" in learner, "the check sees what is imported"
    assert not {"river", "sklearn", "pandas"} & set(worker)
    assert found == {step: [] for step in (*COMMANDS, *PARTS)}
