"""`python -m tests.endurance`: the exporter through all troubles, in one process and with workers; exit status 1 where
something was lost or has grown.

`ENDURANCE_SECONDS` is for both together.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.tables import console, show

from tests.endurance.killed import kill
from tests.endurance.run import Row, endure

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "600"))
WORKERS = (1, 2)


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
    show(
        title,
        ["what", "before", "after", "verdict"],
        [[each.what, each.before, each.after, "holds" if each.holds else "BROKEN"] for each in rows],
    )
    console.print()


if __name__ == "__main__":
    main()
