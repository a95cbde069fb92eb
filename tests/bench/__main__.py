"""`python -m tests.bench [NAME...]`: each in a process of its own, so that none inherits the memory of another.

What they find is shown as a table at the end, and written to build/bench.json, where the rows of benchmarks that were
not run stay as they were. `BENCH=quick` makes all of them shorter and smaller.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, CalledProcessError, Popen

from tests.bench.rows import Row, read, renewed, show, told, write

BENCHMARKS = ("cost", "dns", "truth", "scrape", "growth", "start", "workers", "load")
FILE = Path("build/bench.json")


def main(names: list[str]) -> None:
    """What is known so far is kept at once: all together take half an hour."""
    everything: list[Row] = []
    for name in names or BENCHMARKS:
        everything += found_by(name)
        write(renewed(read(FILE), everything), FILE)
    show(everything)


def found_by(name: str) -> Iterator[Row]:
    sys.stderr.write(f"{name} ...\n")
    with Popen([sys.executable, "-m", f"tests.bench.{name}"], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            row = told(line)
            sys.stderr.write(f"  {row.name}: {row.written}\n")
            yield row
    if process.returncode:
        raise CalledProcessError(process.returncode, process.args)


if __name__ == "__main__":
    main(sys.argv[1:])
