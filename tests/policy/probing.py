"""Probes a hostile world many times, under the policy of a configuration file."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import yaml

from exporter import config, wiring
from exporter.judging import verdict
from exporter.model import names
from exporter.model.names import InvalidServerNameError
from exporter.model.report import Report
from exporter.probing.prober import Prober
from tests.policy.attack_paths import Problems
from tests.policy.world import DOMAIN, World

CONCURRENCY = 20  # few enough that probes do not time out on a busy machine


def write_config(world: World, folder: Path, **network: object) -> Path:
    """`network` changes keys of that section."""
    file = folder / "config.yaml"
    document = {
        "servers": [f"nobody.{DOMAIN}"],
        "probe": {"concurrency": CONCURRENCY},
        "network": world.network(**network),
        "web": {"listen": ["127.0.0.1:0"], "probe_any": True},
    }
    file.write_text(yaml.safe_dump(document))
    return file


def make_prober(world: World, folder: Path, **network: object) -> Prober:
    return wiring.build_prober(config.load(write_config(world, folder, **network)))


async def probe_all(prober: Prober, server_names: Iterable[str], *, deep: bool = False) -> list[Report | None]:
    """Return None for an invalid server name. With `deep`, each probe is followed by a deep look."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def probe(text: str) -> Report | None:
        try:
            name = names.parse(text)
        except InvalidServerNameError:
            return None
        async with slots:
            report = await prober.probe(name)
            return await prober.run_deep_look(report) if deep else report

    return await asyncio.gather(*map(probe, server_names))


def problems_of(report: Report) -> Problems:
    return frozenset((located.stage, located.problem.reason) for located in verdict.problems(report))
