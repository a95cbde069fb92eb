"""Second looks at an endpoint, by other means than those of a probe, to see what homeservers meet there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Final

from exporter.model.enums import Means
from exporter.model.findings import TlsSession
from exporter.model.outcomes import Failed, Outcome, Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import Answers, EndpointReport, Report, SecondLook
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.dialling import open_connection, start_tls
from exporter.probing.network import Connection, Network
from exporter.probing.problems import Step
from exporter.probing.stages import directory
from exporter.probing.stages.key_request import fetch_keys

_HOMESERVER_AGENT: Final = "Synapse/1.163.2"


@dataclass(frozen=True)
class SecondLooks:
    """Looks again at the endpoint of a report."""

    network: Network
    report: Report
    endpoint: EndpointReport
    deadline: Deadline

    async def past_tls(self) -> SecondLook | None:
        """Look past a TLS handshake that failed. There are three cases:

        - it ended in a certificate that did not verify: the keys behind it, unverified;
        - it failed, and succeeds with finite-field Diffie-Hellman: the keys behind that;
        - neither, or the server refused the session after it: None.
        """
        if session := found(self.endpoint.tls):
            return None if session.certificate.valid else await self._look(Means.UNVERIFIED)
        failed = isinstance(self.endpoint.tls, Failed) and self.endpoint.tls.problems[0].reason is Reason.TLS_HANDSHAKE
        return await self._look(Means.FINITE_FIELD) if failed else None

    async def as_a_homeserver(self) -> SecondLook | None:
        """Look with the User-Agent of a homeserver: a filter may let nobody else pass."""
        return await self._look(Means.HOMESERVER_AGENT)

    async def http2_broken(self) -> bool:
        """Whether the server selects HTTP/2 when that is offered, and does not speak it."""
        with closing(self.network.connection(self.endpoint.endpoint)) as connection:
            opened = await open_connection(self.network, connection, self.deadline.for_stage())
            if not isinstance(opened, Passed):
                return False
            spoken = connection.speaks_http2(self.report.route.tls_name)
            outcome: Outcome[bool | None] = await attempt(Step.TLS, spoken, identity, self.deadline.for_stage())
            return isinstance(outcome, Passed) and outcome.found is False

    async def _look(self, means: Means) -> SecondLook | None:
        agent = _HOMESERVER_AGENT if means is Means.HOMESERVER_AGENT else None
        host_header = self.report.route.host_header
        async with self.session(finite_field=means is Means.FINITE_FIELD) as (connection, session):
            if found(session) is None:
                return None
            keys, shape = await fetch_keys(
                connection, self.report.server_name, host_header, self.deadline.for_stage(), agent
            )
            answered = await directory.run(connection, host_header, self.deadline.for_stage(), agent)
        return SecondLook(means, Answers(session, keys, shape, answered))

    @asynccontextmanager
    async def session(self, *, finite_field: bool = False) -> AsyncIterator[tuple[Connection, Outcome[TlsSession]]]:
        """Connect, and yield the connection with the outcome of its TLS handshake."""
        tls_name = self.report.route.tls_name
        with closing(self.network.connection(self.endpoint.endpoint)) as connection:
            opened = await open_connection(self.network, connection, self.deadline.for_stage())
            if not isinstance(opened, Passed):
                yield connection, Failed(opened.seconds, opened.problems)
                return
            deadline, cache = self.deadline.for_stage(), self.network.chain_cache
            yield connection, await start_tls(connection, tls_name, cache, deadline, finite_field=finite_field)
