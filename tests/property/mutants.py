"""``make mutants``: break every rule of identity, relations, caps and near matches, and see which property notices.

Prints a table; writes var/reports/mutants.json; fails when one goes unnoticed.
"""

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.property import identity_mutants, people_mutants

REPORT = Path("var/reports/mutants.json")


def main() -> None:
    """Seed every bug and report."""
    console = Console()
    table = Table("rule broken", "noticed by", title="Mutants of the protocols between customers")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        seeded = [
            (name, pool.submit(part.catch, name))
            for part in (identity_mutants, people_mutants)
            for name in part.MUTATIONS
        ]
        found = {name: each.result() for name, each in track(seeded, "seeding")}
    for name, noticed in found.items():
        table.add_row(name, noticed[:90] if noticed else "[bold red]nothing[/]")
    console.print(table)
    caught = sum(noticed is not None for noticed in found.values())
    console.print(f"{len(found)} seeded, {caught} caught")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"seeded": len(found), "caught": caught}) + "\n")
    sys.exit(caught < len(found))


if __name__ == "__main__":
    main()
