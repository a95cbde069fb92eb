"""The embedded federation, whose homeservers connect to a real listener of the exporter."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from exporter import wiring
from exporter.config import load
from exporter.demo.both_ways.joining import join
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.internet import Internet
from exporter.model import names
from exporter.model.report import Report
from exporter.model.servers import DEFAULT_GROUP
from exporter.outbound.looks import OutboundLooks
from exporter.probing.prober import Prober
from exporter.web.outbound_service import OutboundService

_INTERVAL = timedelta(minutes=15)


def configure(federation: Federation, folder: Path, **changed: object) -> Path:
    """Write a configuration file with the other direction, and let all homeservers know the exporter."""
    outbound = {**join(federation, folder, "15m"), **changed}
    file = folder / "config.yaml"
    file.write_text(json.dumps({**federation.config(), "outbound": outbound}))
    return file


def write_private(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


@dataclass
class BothWays:
    """A running federation, and the exporter's side of it."""

    federation: Federation
    network: Internet
    prober: Prober
    service: OutboundService
    checked: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def looks(self) -> OutboundLooks:
        assert self.service.looks
        return self.service.looks

    async def look_at(self, server_name: str, earlier: Report | None = None) -> Report:
        """Probe a server and look at the other direction, as the schedule does it an interval after an earlier look."""
        report = await self.prober.probe(names.parse(server_name))
        return await self.looks.add_if_due(self.network, report, _an_interval_ago(earlier) if earlier else None)

    async def check(self) -> bool:
        return await self.service.check(self.prober, self.network)


def _an_interval_ago(report: Report) -> Report:
    look = report.outbound
    assert look
    by_name = tuple(replace(each, made_at=each.made_at - _INTERVAL) for each in look.by_name)
    return replace(report, outbound=replace(look, made_at=look.made_at - _INTERVAL, by_name=by_name))


@asynccontextmanager
async def both_ways(servers: Sequence[LabServer], folder: Path, **changed: object) -> AsyncIterator[BothWays]:
    """Run the servers, and listen for them. The own listener has not been checked yet."""
    async with Federation(servers) as federation:
        config = load(configure(federation, folder, **changed))
        checked: list[tuple[str, bool]] = []
        service = OutboundService(lambda own_name, *, ready: checked.append((own_name, ready)))
        networks = wiring.build_networks(config)
        prober = wiring.build_probers(config, networks)[DEFAULT_GROUP]
        async with service.run(config.outbound):
            yield BothWays(federation, networks[DEFAULT_GROUP], prober, service, checked)
