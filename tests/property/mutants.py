"""``make mutants``: break every rule of the identity protocol once, and see which property notices.

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

from tests.property.identity_mutants import MUTATIONS, catch

REPORT = Path("var/reports/mutants.json")


def main() -> None:
    """Seed every bug and report."""
    console = Console()
    table = Table("rule broken", "noticed by", title="Mutants of the identity protocol")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(MUTATIONS, track(pool.map(catch, MUTATIONS), "seeding", len(MUTATIONS)), strict=True))
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
