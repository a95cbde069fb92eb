"""The results of benchmarks: rows, some with a target, as a table and as JSON."""

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
"""A result is their median. What is compared is measured alternately, as machines vary over time."""
MET_LABELS = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a value must keep; the bound itself is allowed."""

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
    """One result. `name` begins with the name of the benchmark and a colon. `unit` is empty for counts and ratios."""

    name: str
    value: float
    unit: str = ""
    target: str | None = None
    met: bool | None = None

    @classmethod
    def of(cls, name: str, values: float | Sequence[float], unit: str = "", target: Target | None = None) -> Self:
        """Create a row from a value, or from the median of several values."""
        value = float(median(values) if isinstance(values, Sequence) else values)
        if target is None:
            return cls(name, value, unit)
        return cls(name, value, unit, str(target), target.holds(value))

    @property
    def benchmark(self) -> str:
        return self.name.partition(":")[0]

    @property
    def formatted(self) -> str:
        """The value with three digits, or as an integer, and its unit."""
        number = f"{self.value:.3g}" if abs(self.value) < 1000 else f"{self.value:,.0f}"
        return f"{number} {self.unit}".rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _table(rows: Iterable[Row]) -> Table:
    table = Table("", "measured", "target", "met", title="benchmarks", title_justify="left")
    for row in rows:
        table.add_row(row.name, row.formatted, row.target or "", MET_LABELS[row.met])
    return table


def emit(rows: Iterable[Row]) -> None:
    """Write each row as a line of JSON, as soon as it is known, for the process that started this benchmark."""
    for row in rows:
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
        sys.stdout.flush()


def parse(line: str) -> Row:
    """Return the row that `emit` wrote."""
    return Row(**json.loads(line))


def write(rows: Iterable[Row], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read(file: Path) -> list[Row]:
    """Return the rows in a file; none if it does not exist."""
    return [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def merge(old: Iterable[Row], fresh: Sequence[Row]) -> list[Row]:
    """Return the old rows of benchmarks that were not run again, followed by the fresh rows."""
    benchmarks = {row.benchmark for row in fresh}
    return [*(row for row in old if row.benchmark not in benchmarks), *fresh]


def show(rows: Iterable[Row]) -> None:
    Console(width=120).print(_table(rows))
