"""A real Synapse looks at federations of the kit again: `python -m tests.agreement.again --help`.

Prints a line for each federation with which it now does something else than observed.yaml says.
Status: 0 all as observed, 1 something differs, 2 could not run.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Container
from pathlib import Path
from typing import Any, Final

import yaml

from tests.agreement import namespaces
from tests.agreement.served import KIT, engine, run_agreement
from tests.agreement.truth import Truth, answer_queries

_ROUNDS: Final = 3
"""Looks at a federation that differs. A single one proves nothing: the order of addresses and the time decide, too."""


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Return the observations to repeat, by ID: those asked for, or a sample of all that count."""
    observations = yaml.safe_load((KIT / "observed.yaml").read_text(encoding="utf-8"))
    if options.only:
        return {ident: observations[ident] for ident in options.only}
    counted = [ident for ident, seen in observations.items() if not run_agreement.not_counted(seen)]
    sample = random.Random(options.seed).sample(counted, min(options.sample or len(counted), len(counted)))
    return {ident: observations[ident] for ident in sample}


def build(world: Any, idents: Container[str]) -> dict[str, Any]:
    """Return the federations by ID, as `run_agreement.build` does, but with homeservers that answer queries."""
    federations = {}
    for number, (ident, set_up) in enumerate(engine.FEDERATIONS.items(), 1):
        if ident in idents:
            federations[ident] = engine.Federation(world, ident, number)
            answer_queries(federations[ident])
            set_up(federations[ident])
    return federations


async def look_again(folder: Path, options: argparse.Namespace) -> int:
    namespaces.set_up(folder)
    observations, world = chosen(options), engine.World(folder)
    federations = build(world, observations)
    await world.start()
    outcomes: dict[str, str] = {}
    differing = list(observations)
    with Truth.started(folder / "synapse", world.ca_file) as truth:
        for _ in range(_ROUNDS):
            outcomes |= await truth.look_at_all({ident: federations[ident] for ident in differing})
            differing = [ident for ident, seen in observations.items() if outcomes[ident] != seen["synapse"]]
    for ident in differing:
        seen = observations[ident]
        sys.stdout.write(f"FAIL {ident} ({seen['what']}): observed {seen['synapse']}, now {outcomes[ident]}\n")
    sys.stdout.write(f"synapse: {len(observations) - len(differing)} of {len(observations)} as observed\n")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="ID", action="append", help="look at this federation (repeatable)")
    parser.add_argument("--sample", metavar="N", type=int, help="look at this number of those that count")
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="what chooses the sample (%(default)s)")
    parser.add_argument(namespaces.INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        return namespaces.run_inside("tests.agreement.again", sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="agreement-") as folder:
        return namespaces.until_orphaned(look_again(Path(folder), options))


if __name__ == "__main__":
    sys.exit(main())
