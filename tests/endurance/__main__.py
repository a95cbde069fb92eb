"""`python -m tests.endurance`: the exporter through all troubles, in one process and with workers; exit status 1 where
something was lost or has grown.

`ENDURANCE_SECONDS` is for both together.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.endurance.killed import kill
from tests.endurance.run import Row, endure

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "1200"))
WORKERS = (1, 2)
WIDTH = 120  # columns


def main() -> None:
    breached = False
    for workers in WORKERS:
        with TemporaryDirectory(prefix="endurance-") as folder:
            rows = endure(Path(folder) / "run", workers, SECONDS / len(WORKERS))
        with TemporaryDirectory(prefix="endurance-") as folder:
            rows += kill(Path(folder) / "killed", workers)
        show_rows(f"endurance: {workers} process{'es' if workers > 1 else ''}", rows)
        breached = breached or not all(each.holds for each in rows)
    if breached:
        sys.exit(1)


def show_rows(title: str, rows: list[Row]) -> None:
    table = Table("what", "before", "after", "verdict", title=title, title_justify="left")
    for each in rows:
        table.add_row(each.what, each.before, each.after, "holds" if each.holds else "BROKEN")
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
