"""`python -m tests.siege`: the exporter under all attacks at once, in one process and with workers; exit status 1 where
a bound is broken.

`SIEGE_SECONDS` is how long each siege lasts, `SIEGE_ATTACKS="chains lists"` chooses the attacks, and `SIEGE_WORKERS=2`
the processes.
"""

import asyncio
import os
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.siege.attacks import ATTACKS
from tests.siege.run import LONG, besiege
from tests.siege.verdicts import Row

SECONDS = float(os.environ.get("SIEGE_SECONDS", LONG.seconds))
WORKERS = os.environ.get("SIEGE_WORKERS", "1 2")
CHOSEN = os.environ.get("SIEGE_ATTACKS", " ".join(ATTACKS))
WIDTH = 120  # columns


def main() -> None:
    attacks = CHOSEN.split()
    if unknown := set(attacks) - ATTACKS.keys():
        sys.exit(f"unknown attacks: {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}")
    plan = replace(LONG, seconds=SECONDS)
    breached = False
    for workers in map(int, WORKERS.split()):
        with TemporaryDirectory(prefix="siege-") as folder:
            found = asyncio.run(besiege(Path(folder), workers, plan, attacks))
        show_rows(f"siege of {SECONDS:.0f} s: {workers} process{'es' if workers > 1 else ''}", found)
        breached = breached or not all(each.holds for each in found)
    if breached:
        sys.exit(1)


def show_rows(title: str, rows: Collection[Row]) -> None:
    table = Table("what", "calm", "siege", "bound", "verdict", title=title, title_justify="left")
    for each in rows:
        table.add_row(each.what, each.calm, each.siege, each.bound, "holds" if each.holds else "BROKEN")
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
