"""All stages of one endpoint, over one connection."""

import asyncio
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urljoin, urlsplit

from exporter.model.addresses import Endpoint
from exporter.model.findings import HttpShape, SigningKeys
from exporter.model.names import ServerName
from exporter.model.outcomes import Outcome, Passed
from exporter.model.report import EndpointReport
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline, Failure, attempt, identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection, Network
from exporter.probing.problems import Step
from exporter.probing.stages import keys, tls, version

_MAX_REDIRECTS = 3  # of the request for the keys


@dataclass(frozen=True)
class EndpointProber:
    """Probes endpoints of one server."""

    network: Network
    name: ServerName
    tls_slots: asyncio.Semaphore
    """One for each TLS session at the same time."""
    deadline: Deadline

    async def probe(self, route: Route, endpoint: Endpoint) -> EndpointReport:
        """Run all stages of an endpoint over one connection. There are three cases:

        - TCP fails: the other stages are skipped;
        - TLS fails: nothing is sent over the connection, and version and keys are skipped;
        - TLS passes: both version and keys are requested, as each of them says something of its own.
        """
        with closing(self.network.connection(endpoint)) as connection:
            clock, stage_deadline = connection.peer_wait, self.deadline.for_stage
            tcp = await attempt(Step.TCP, connection.open(), identity, stage_deadline(), clock)
            if not isinstance(tcp, Passed):
                return EndpointReport(endpoint, tcp)
            async with self.tls_slots:
                verify = partial(tls.evaluate, tls_name=route.tls_name, cache=self.network.chain_cache)
                session = await attempt(Step.TLS, connection.start_tls(route.tls_name), verify, stage_deadline(), clock)
                if not isinstance(session, Passed):
                    return EndpointReport(endpoint, tcp, session)
                response = connection.get(version.PATH, route.host_header, version.MAX_BYTES)
                software = await attempt(Step.HTTP, response, version.evaluate, stage_deadline(), clock)
                published, shape = await fetch_keys(connection, self.name, route.host_header, stage_deadline())
                return EndpointReport(endpoint, tcp, session, software, published, shape)


async def fetch_keys(
    connection: Connection, name: ServerName, host_header: str, deadline: Deadline, user_agent: str | None = None
) -> tuple[Outcome[SigningKeys], HttpShape | None]:
    """Return the outcome of the stage `keys`, and the size of the response's headers if there was a response."""
    shape: HttpShape | None = None

    def evaluate(final: tuple[HttpResponse, int]) -> SigningKeys | Failure[SigningKeys]:
        nonlocal shape
        response, redirects = final
        shape = response.shape
        return keys.evaluate(response, name.text, datetime.now(UTC), redirected=redirects > 0)

    response = _follow(connection, host_header, user_agent)
    outcome = await attempt(Step.HTTP, response, evaluate, deadline, connection.peer_wait)
    return outcome, shape


async def _follow(connection: Connection, host_header: str, user_agent: str | None) -> tuple[HttpResponse, int]:
    """Follow redirects of the request for the keys to other paths of the same host, and count them."""
    path = keys.PATH
    for redirects in range(_MAX_REDIRECTS):
        response = await connection.get(path, host_header, keys.MAX_BYTES, user_agent)
        location = response.header("location")
        if response.status not in (301, 302, 303, 307, 308) or location is None:
            return response, redirects
        target = urlsplit(urljoin(f"https://{host_header}{path}", location))
        if (target.scheme, target.netloc) != ("https", host_header):
            return response, redirects
        path = f"{target.path}?{target.query}" if target.query else target.path or "/"
    return response, redirects
