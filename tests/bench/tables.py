"""What benchmarks print."""

import os
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

QUICK = os.environ.get("BENCH") == "quick"
console = Console(width=100)


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
