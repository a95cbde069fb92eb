"""What benchmarks find: rows, with targets where there are any, as a table and as JSON."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self

from rich.console import Console
from rich.table import Table

QUICK = os.environ.get("BENCH") == "quick"
RUNS = 2 if QUICK else 5
"""Of which the median is shown; everything that is compared is measured by turns, as machines have their moods."""
VERDICTS = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that belongs to the value."""

    bound: float
    at_most: bool

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}"

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


def at_most(bound: float) -> Target:
    return Target(bound, at_most=True)


def at_least(bound: float) -> Target:
    return Target(bound, at_most=False)


@dataclass(frozen=True, slots=True)
class Row:
    """`name` begins with that of the benchmark and a colon. `unit` is empty for what is counted, and for ratios."""

    name: str
    value: float
    unit: str = ""
    target: str | None = None
    met: bool | None = None

    @classmethod
    def of(cls, name: str, values: float | Sequence[float], unit: str = "", target: Target | None = None) -> Self:
        """Of several values, their median."""
        value = float(median(values) if isinstance(values, Sequence) else values)
        if target is None:
            return cls(name, value, unit)
        return cls(name, value, unit, str(target), target.holds(value))

    @property
    def benchmark(self) -> str:
        return self.name.partition(":")[0]

    @property
    def written(self) -> str:
        """To three digits, or as a whole number."""
        number = f"{self.value:.3g}" if abs(self.value) < 1000 else f"{self.value:,.0f}"
        return f"{number} {self.unit}".rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(rows: Iterable[Row]) -> Table:
    shown = Table("", "measured", "target", "met", title="benchmarks", title_justify="left")
    for row in rows:
        shown.add_row(row.name, row.written, row.target or "", VERDICTS[row.met])
    return shown


def tell(rows: Iterable[Row]) -> None:
    """To whoever started this benchmark: a row a line, as soon as it is known."""
    for row in rows:
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
        sys.stdout.flush()


def told(line: str) -> Row:
    return Row(**json.loads(line))


def write(rows: Iterable[Row], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read(file: Path) -> list[Row]:
    """None where there is no such file."""
    return [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def renewed(old: Iterable[Row], fresh: Sequence[Row]) -> list[Row]:
    """What was measured just now, and before it what earlier runs found of other benchmarks."""
    again = {row.benchmark for row in fresh}
    return [*(row for row in old if row.benchmark not in again), *fresh]


def show(rows: Iterable[Row]) -> None:
    Console(width=120).print(table(rows))
