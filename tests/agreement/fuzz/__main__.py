"""Sets federations that are composed at random before a real Synapse and the exporter: `make fuzz-federations`.

Prints a line for each with which Synapse does something else than the exporter says.
Status: 0 all agree, 1 something does not, 2 could not run.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.agreement import namespaces
from tests.agreement.fuzz.comparison import compare, new_world
from tests.agreement.fuzz.compose import compose
from tests.agreement.fuzz.draw import Draw
from tests.agreement.fuzz.found import FOUND
from tests.agreement.served import engine
from tests.agreement.truth import answer_queries

_BATCH: Final = 100
"""Federations that are served at once: each takes some sockets and files."""


def _batches(options: argparse.Namespace) -> Iterator[list[str]]:
    """Yield the arguments of each run inside the namespaces."""
    numbers = options.only or list(range(1, options.count + 1))
    for start in range(0, len(numbers), _BATCH):
        found = ["--found"] if start == 0 and not options.only else []
        yield [f"--seed={options.seed}", *found, *(f"--only={each}" for each in numbers[start : start + _BATCH])]


def _set_up(world: Any, options: argparse.Namespace) -> Iterator[tuple[Any, str]]:
    """Yield federations with their descriptions."""
    for place, number in enumerate(options.only or (), 1):
        federation = _federation(world, f"fuzz-{number}", place)
        yield federation, compose(federation, Draw(options.seed, number))
    for place, (ident, case) in enumerate(FOUND.items() if options.found else (), _BATCH + 1):
        federation = _federation(world, f"found-{ident}", place)
        case.set_up(federation)
        yield federation, case.cause


def _federation(world: Any, ident: str, place: int) -> Any:
    federation = engine.Federation(world, ident, place)
    answer_queries(federation)
    return federation


async def _inside(folder: Path, options: argparse.Namespace) -> int:
    world, federations, described = new_world(folder), dict[str, Any](), dict[str, str]()
    for federation, description in _set_up(world, options):
        ident = federation.domain.removesuffix(".test")
        federations[ident], described[ident] = federation, description
    outcomes, found = await compare(folder, world, federations)
    for ident, disagreement in found.items():
        sys.stdout.write(f"FAIL {ident} ({described[ident]}): {disagreement}\n")
    working = list(outcomes.values()).count("works")
    sys.stdout.write(f"{len(federations) - len(found)} of {len(federations)} agree; {working} work\n")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", metavar="S", type=int, help="what chooses the faults (a new one if not given)")
    parser.add_argument(
        "--count", metavar="N", type=int, default=500, help="so many, and those of found.py (%(default)s)"
    )
    parser.add_argument("--only", metavar="NUMBER", type=int, action="append", help="this one (repeatable)")
    parser.add_argument("--found", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(namespaces.INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        with tempfile.TemporaryDirectory(prefix="agreement-") as folder:
            return namespaces.until_orphaned(_inside(Path(folder), options))
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    sys.stdout.write(f"seed {options.seed}\n")
    sys.stdout.flush()
    return max(namespaces.run_inside("tests.agreement.fuzz", batch) for batch in _batches(options))


if __name__ == "__main__":
    sys.exit(main())
