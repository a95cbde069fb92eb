"""`python -m tests.bench.readme`: writes the latest results that have a target into the README, between two markers."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench.__main__ import FILE
from tests.bench.rows import MET_LABELS, Row, read

README = Path("README.md")
BEGIN, END = "<!-- measured by `make bench` -->", "<!-- end of what was measured -->"


def main() -> None:
    rows = read(FILE)
    if not rows:
        raise SystemExit(f"expected the results of a run in {FILE}, found none: run `make bench`")
    README.write_text(with_rows(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    sys.stdout.write(f"{README} has the results in {FILE}\n")


def with_rows(text: str, rows: Iterable[Row]) -> str:
    """Return the text with the results between the markers. Raises ValueError if a marker is missing."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([f"{before}{BEGIN}", *lines(rows), f"{END}{after}"])


def lines(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("| | measured | target | met |", "|---|---|---|---|")
    for row in rows:
        if row.target is not None:
            yield f"| {row.name} | {row.formatted} | {row.target} | {MET_LABELS[row.met]} |"


if __name__ == "__main__":
    main()
