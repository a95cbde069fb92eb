"""`python -m tests.bench.readme`: writes the latest results into the README and docs/scaling.md, between markers."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.bench.__main__ import FILE
from tests.bench.rows import MET_LABELS, Row, read

README, SCALING = Path("README.md"), Path("docs/scaling.md")
BEGIN, END = "<!-- measured by `make bench` -->", "<!-- end of what was measured -->"
HANDSHAKE, PROBE = "load: CPU of a bare handshake", "load: CPU for each probe, in bare handshakes"
VERIFICATIONS = f"{HANDSHAKE}, in verifications of ecdsap384"
FAST, SLOW = 0.8, 3.2  # milliseconds of a bare handshake
PROBES_PER_SECOND = 20_000 / 300
SHARE = 2 / 3  # of a core, which one process may take


def main() -> None:
    rows = read(FILE)
    if not rows:
        raise SystemExit(f"expected the results of a run in {FILE}, found none: run `make bench`")
    if not {HANDSHAKE, PROBE, VERIFICATIONS} <= {row.name for row in rows}:
        raise SystemExit(f"expected the results of `load` in {FILE}: run `python -m tests.bench load`")
    for file, lines in ((README, target_lines(rows)), (SCALING, [*machine_lines(rows), *ten_times_lines(rows)])):
        file.write_text(with_lines(file.read_text(encoding="utf-8"), lines), encoding="utf-8")
        sys.stdout.write(f"{file} has the results in {FILE}\n")


def with_lines(text: str, lines: Iterable[str]) -> str:
    """Return the text with these lines between the markers. Raises ValueError if a marker is missing."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"])


def target_lines(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("| | measured | target | met |", "|---|---|---|---|")
    for row in rows:
        if row.target is not None:
            yield f"| {row.name} | {row.formatted} | {row.target} | {MET_LABELS[row.met]} |"


def machine_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what a probe takes, and that on a fast machine, the one that was measured, and a slow one."""
    values = {row.name: row.value for row in rows}
    probe, verifications = values[PROBE], values[VERIFICATIONS]
    yield f"A bare handshake takes {verifications:.2g} verifications, and a probe takes {probe:.2g} bare handshakes."
    yield ""
    yield "| machine | a bare handshake | a probe | 20,000 servers every 5 minutes | probes a second of one process |"
    yield "|---|--:|--:|--:|--:|"
    for machine, handshake in (("fast", FAST), ("measured", values[HANDSHAKE]), ("slow", SLOW)):
        milliseconds = probe * handshake
        share, most = PROBES_PER_SECOND * milliseconds / 10, SHARE * 1000 / milliseconds
        yield f"| {machine} | {handshake:.2g} ms | {milliseconds:.2g} ms | {share:.0f} % of a core | {most:.0f} |"


def ten_times_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield nothing if it was not measured."""
    measured = [row for row in rows if row.benchmark == "ten_times"]
    if measured:
        yield from ("", "| ten times the public network | measured |", "|---|--:|")
    for row in measured:
        yield f"| {row.name.removeprefix('ten_times: ')} | {row.formatted} |"


if __name__ == "__main__":
    main()
