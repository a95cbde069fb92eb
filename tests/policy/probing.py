"""Many probes of a hostile world, under the policy of a configuration file."""

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
from tests.policy.attack_paths import Blamed
from tests.policy.world import DOMAIN, World

AT_ONCE = 20  # a busy machine must not run into their timeouts


def config_file(at: World, folder: Path, **changed: object) -> Path:
    """`changed` are keys of the section `network`."""
    file = folder / "config.yaml"
    web = {"listen": ["127.0.0.1:0"], "probe_any": True}
    file.write_text(yaml.safe_dump({"servers": [f"nobody.{DOMAIN}"], "network": at.network(**changed), "web": web}))
    return file


def prober(at: World, folder: Path, **changed: object) -> Prober:
    return wiring.build_prober(config.load(config_file(at, folder, **changed)))


async def probed(prober: Prober, server_names: Iterable[str]) -> list[Report | None]:
    """None for what is no server name."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def probe(text: str) -> Report | None:
        try:
            name = names.parse(text)
        except InvalidServerNameError:
            return None
        async with turns:
            return await prober.probe(name)

    return await asyncio.gather(*map(probe, server_names))


def blamed(report: Report) -> Blamed:
    return frozenset((located.stage, located.problem.reason) for located in verdict.problems(report))
