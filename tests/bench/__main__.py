"""`python -m tests.bench [NAME...]`: runs benchmarks, each in a process of its own, so that none inherits memory.

The results are shown as a table at the end, and written to build/bench.json, where the rows of benchmarks that were not
run stay. `BENCH=quick` makes all of them shorter and smaller.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, CalledProcessError, Popen

from tests.bench.rows import Row, merge, parse, read, show, write

BENCHMARKS = (
    "cost",
    "dns",
    "accuracy",
    "scrape",
    "pages",
    "growth",
    "start",
    "history",
    "workers",
    "pythons",
    "load",
    "ten_times",
    "alert_delay",
)
FILE = Path("build/bench.json")


def main(names: list[str]) -> None:
    """Run the benchmarks, and save the results of each at once: all of them take half an hour."""
    rows: list[Row] = []
    for name in names or BENCHMARKS:
        rows += run(name)
        write(merge(read(FILE), rows), FILE)
    show(rows)


def run(name: str) -> Iterator[Row]:
    sys.stderr.write(f"{name} ...\n")
    with Popen([sys.executable, "-m", f"tests.bench.{name}"], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):  # the log of a program that the benchmark has run
                continue
            row = parse(line)
            sys.stderr.write(f"  {row.name}: {row.formatted}\n")
            yield row
    if process.returncode:
        raise CalledProcessError(process.returncode, process.args)


if __name__ == "__main__":
    main(sys.argv[1:])
