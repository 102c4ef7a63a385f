"""The command line: one table of commands; a command's module is imported only when it is asked for.

To add a command, write a function with typer's annotations in the module of its part and add a row here.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import typer


class Command(NamedTuple):
    """A command: its words, and where its function lives."""

    words: str
    place: str

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, function = self.place.partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return found


COMMANDS: tuple[Command, ...] = (
    Command("demo", "deploy.demo.command:demo"),
    Command("up", "deploy.local.command:up"),
    Command("down", "deploy.local.command:down"),
    Command("status", "deploy.local.command:status"),
    Command("import", "connectors.files.command:import_file"),
    Command("catalogue check", "streams.agents.catalogue_command:check"),
    Command("catalogue publish", "streams.agents.catalogue_command:publish"),
    Command("catalogue show", "streams.agents.catalogue_command:show"),
    Command("keys add", "connectors.gateway.keys_command:add"),
    Command("keys list", "connectors.gateway.keys_command:show"),
    Command("keys revoke", "connectors.gateway.keys_command:revoke"),
    Command("identity explain", "connectors.operate.command:explain"),
    Command("identity split", "connectors.operate.command:split"),
    Command("identity cut", "connectors.operate.command:cut"),
    Command("identity merge", "connectors.operate.command:merge"),
    Command("identity release", "connectors.operate.command:release"),
    Command("identity review", "connectors.operate.review_command:review"),
    Command("identity ruling", "connectors.operate.command:ruling"),
    Command("identity check", "streams.identity_command:check"),
    Command("rules check", "streams.rules_command:check"),
    Command("privacy erase", "connectors.privacy.command:erase"),
    Command("privacy status", "connectors.privacy.command:status"),
    Command("privacy export", "connectors.privacy.command:export"),
    Command("evaluate", "deploy.evaluate.command:evaluate"),
    Command("rebuild", "deploy.rebuild.command:rebuild"),
    Command("topics", "streams.commands:topics"),
    Command("gateway", "connectors.gateway.command:gateway"),
    Command("worker", "streams.commands:worker"),
    Command("deliver", "connectors.outbound.command:deliver"),
    Command("serve", "connectors.serve.command:serve"),
)

# Words that stand before others, with what they are about.
GROUPS = {
    "catalogue": "Actions and policies: check a file, publish it, show what is live.",
    "identity": "Who is one customer and who is not: why, and your word on it.",
    "rules": "The golden record's rules: which values survive, what signals must keep.",
    "privacy": "What is held on a person: hand it out, or forget it for good.",
    "keys": "Keys of the gateway: made once, kept as hashes.",
}

_HELP = """Sada hears every customer and answers well.

Start with `make demo` (a living shop in a few minutes) or `sada up` (everything on this machine).
In production run `sada topics` once, then `sada gateway`, `sada worker`, `sada deliver` and `sada serve`,
each as often as you need. Settings come from the environment: see streams/settings.py.
"""


def build(asked: list[str]) -> typer.Typer:
    """Return the command line; with a known first word only that word's commands are imported.

    Parameters
    ----------
    asked : the arguments of the command line
    """
    first = asked[0] if asked else ""
    rows = [row for row in COMMANDS if row.words.split()[0] == first] or list(COMMANDS)
    root = typer.Typer(
        name="sada", help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False
    )
    # A callback keeps typer from folding a single command into the root.
    root.callback()(_root)
    groups: dict[str, typer.Typer] = {}
    for row in rows:
        group, _, name = row.words.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(name=group, help=GROUPS[group], no_args_is_help=True)
            groups[group].callback()(_root)
            root.add_typer(groups[group])
        (groups[group] if group else root).command(name)(row.load())
    return root


def _root() -> None:
    """Take no options of its own."""


def main() -> None:
    """Run the command line."""
    build(sys.argv[1:])(prog_name="sada")


if __name__ == "__main__":
    main()
