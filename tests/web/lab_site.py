"""The exporter with servers of the embedded federation, and a client. By default, it only probes on request."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.homeserver import VERSION
from exporter.demo.servers import LabServer
from tests.embedded_federation import lab_servers, network, write_config
from tests.web.serving import client_of, get_probed

HEALTHY, BROKEN, SILENT = lab_servers("default-port.lab.test", "expired.lab.test", "black-hole.lab.test")
FAR_AWAY = 1e6  # seconds


@dataclass(frozen=True, slots=True)
class LabSite:
    app: App
    federation: Federation
    client: httpx.AsyncClient
    config_file: Path

    async def get(self, path: str, headers: dict[str, str] | None = None, **parameters: str) -> httpx.Response:
        return await self.client.get(path, params=parameters, headers=headers)

    async def get_probed(self, path: str, headers: dict[str, str] | None = None, **parameters: str) -> httpx.Response:
        return await get_probed(self.client, path, parameters, headers)

    async def report(self, server: LabServer, fresh: str = "false") -> Any:
        """Return the exporter's own report as JSON."""
        response = await self.get_probed("/api/v1/report", server_name=server.server_name, fresh=fresh)
        assert response.status_code == 200
        return response.json()

    def probes(self, server: LabServer) -> int:
        """Return how often the homeserver was probed. Each probe requests its version once."""
        requests = self.federation.server(server.server_name).listener.requests
        return sum(request.path == VERSION for request in requests)


@asynccontextmanager
async def lab_site(
    folder: Path, *servers: LabServer, first_round: float = FAR_AWAY, notaries: Sequence[str] = (), **changed: object
) -> AsyncIterator[LabSite]:
    """Run the exporter. `changed` are sections of the configuration."""
    settings = {"probe": {"interval": "1y", "timeout": "2m"}, **changed}
    async with Federation(servers) as federation:
        settings["network"] = network(federation, notaries=list(notaries))
        file = write_config(folder / "config.yaml", federation, **settings)
        app = App(file, first_round=first_round)
        app._schedule._grace = 0.1
        async with app, client_of(app.addresses[0]) as client:
            yield LabSite(app, federation, client, file)


def open_to_all(**web: object) -> dict[str, Any]:
    """Return a section `web` that allows probes of any server."""
    return {"listen": ["127.0.0.1:0"], "probe_any": True, **web}
