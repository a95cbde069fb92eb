"""`python -m tests.bench.readme`: what was last measured and has a target, into the README, between two markers."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench.__main__ import FILE
from tests.bench.rows import VERDICTS, Row, read

README = Path("README.md")
BEGIN, END = "<!-- measured by `make bench` -->", "<!-- end of what was measured -->"


def main() -> None:
    rows = read(FILE)
    if not rows:
        raise SystemExit(f"expected the results of a run in {FILE}, found none: run `make bench`")
    README.write_text(with_rows(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    sys.stdout.write(f"{README} holds what {FILE} says\n")


def with_rows(text: str, rows: Iterable[Row]) -> str:
    """Raises ValueError where the text lacks a marker."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([f"{before}{BEGIN}", *lines(rows), f"{END}{after}"])


def lines(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("| | measured | target | met |", "|---|---|---|---|")
    for row in rows:
        if row.target is not None:
            yield f"| {row.name} | {row.written} | {row.target} | {VERDICTS[row.met]} |"


if __name__ == "__main__":
    main()
