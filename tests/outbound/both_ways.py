"""The embedded federation, whose homeservers connect to a real listener of the exporter."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import wiring
from exporter.config import load
from exporter.demo.federation import Federation
from exporter.demo.listener import LOOPBACK, free_port
from exporter.demo.servers import LabServer
from exporter.model import names
from exporter.model.report import Report
from exporter.outbound.looks import OutboundLooks
from exporter.outbound.signing import generate_seed
from exporter.probing.prober import Prober
from exporter.web.outbound_service import OutboundService

OWN_NAME, OWN_IP = "exporter.lab.test", "192.0.2.240"


def configure(federation: Federation, folder: Path, **changed: object) -> Path:
    """Write a configuration file with the other direction, and let all homeservers know the exporter."""
    port = free_port()
    certificate = federation.introduce(OWN_NAME, OWN_IP, port)
    (folder / "cert.pem").write_bytes(certificate.pem)
    write_private(folder / "signing.key", str(generate_seed()))
    outbound = {
        "server_name": OWN_NAME,
        "signing_key_file": "signing.key",
        "listen": [f"{LOOPBACK}:{port}"],
        "tls": {"cert_file": "cert.pem", "key_file": "cert.pem"},
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps({**federation.config(), "outbound": {**outbound, **changed}}))
    return file


def write_private(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


@dataclass
class BothWays:
    """A running federation, and the exporter's side of it."""

    federation: Federation
    prober: Prober
    service: OutboundService
    checked: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def looks(self) -> OutboundLooks:
        assert self.service.looks
        return self.service.looks

    async def look_at(self, server_name: str, **options: Any) -> Report:
        """Probe a server and look at the other direction, as the schedule does it."""
        report = await self.prober.probe(names.parse(server_name))
        return await self.looks.add_if_due(report, None, **options)

    async def check(self) -> bool:
        return await self.service.check(self.prober)


@asynccontextmanager
async def both_ways(servers: Sequence[LabServer], folder: Path, **changed: object) -> AsyncIterator[BothWays]:
    """Run the servers, and listen for them. The own listener has not been checked yet."""
    async with Federation(servers) as federation:
        config = load(configure(federation, folder, **changed))
        checked: list[tuple[str, bool]] = []
        service = OutboundService(lambda own_name, *, ready: checked.append((own_name, ready)))
        async with service.run(config.outbound, wiring.build_network(config)):
            yield BothWays(federation, wiring.build_prober(config), service, checked)
