"""Every reason and every warning, each shown by a server of the lab: real DNS messages, real TLS, real HTTP."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from exporter import USER_AGENT
from exporter.demo.federation import Federation
from exporter.demo.https_server import WELL_KNOWN
from exporter.demo.servers import LabServer
from exporter.internet import Internet
from exporter.judging import verdict
from exporter.judging.warnings import WarningName
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.outcomes import Passed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.probing.deep_look import run
from exporter.probing.evidence import HttpResponse
from exporter.probing.prober import Prober
from exporter.probing.stages import version
from exporter.reports.server_state import ServerState
from tests.addresses import ip_endpoint
from tests.lab.catalogue import EVERY_SERVER
from tests.lab.notaries import NOTARY
from tests.lab.with_warnings import DELEGATION_LOST

PROBE_SECONDS = 60.0
SILENT_SECONDS = 3.0  # where a lookup, a connection or an answer is waited for in vain

OURS = Reason.INTERNAL_ERROR  # no server can show it
NOTARIES = [names.parse(NOTARY)]
MOST_REQUESTS = 8  # of a deep look, to one endpoint

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.lab]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federation() -> AsyncIterator[Federation]:
    async with Federation(EVERY_SERVER) as federation:
        yield federation


def patience(server: LabServer) -> float:
    return SILENT_SECONDS if any(reason.endswith("timeout") for _, reason in server.expected) else PROBE_SECONDS


def network(federation: Federation, seconds: float) -> Internet:
    """Only public addresses are allowed, and those that the lab leads to loopback."""
    return Internet(
        timeout=seconds,
        resolvers=[ip_endpoint(federation.resolver)],
        ca_file=federation.ca_file,
        connect_to={key: ip_endpoint(address) for key, address in federation.connect_to.items()},
    )


async def probe(server: LabServer, federation: Federation) -> Report:
    seconds = patience(server)
    return await Prober(network(federation, seconds), seconds).probe(names.parse(server.server_name))


async def look_at(server: LabServer, federation: Federation) -> Report:
    """A probe and a deep look."""
    seconds = patience(server)
    return await run(network(federation, seconds), await probe(server, federation), seconds, NOTARIES)


async def stand(server: LabServer, federation: Federation) -> ServerState:
    """Of a server that was looked at twice, if there is anything that vanishes in between."""
    state = ServerState(WatchedServer(names.parse(server.server_name), interval=300, expected_delegation=None))
    if server.server_name == DELEGATION_LOST:
        state = state.with_report(await look_at(server, federation))
        del federation.server(server.server_name).resources[WELL_KNOWN]
    return state.with_report(await look_at(server, federation))


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


# ---------------------------------------------------------------- one by one


@pytest.mark.parametrize("server", EVERY_SERVER, ids=lambda server: server.server_name)
async def test_what_the_lab_shows_is_what_is_named(server: LabServer, federation: Federation) -> None:
    """All problems and all warnings of the server, and no other; nothing about it is a surprise."""
    with capture_logs() as logs:
        state = await stand(server, federation)
    assert state.report is not None
    assert problems(state.report) == server.expected
    assert {located.warning for located in state.warnings()} == server.warnings
    assert logs == []


async def test_a_fault_of_ours_is_said_to_be_one(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not to blame, and the log says where it happened."""

    def stumble(_: HttpResponse) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(version, "evaluate", stumble)
    with capture_logs() as logs:
        report = await probe(EVERY_SERVER[0], federation)
    assert problems(report) == {(Stage.VERSION, OURS)}
    assert [(line["event"], line["log_level"]) for line in logs] == [("internal error", "error")]


# ---------------------------------------------------------------- all of them


async def test_every_reason_is_shown() -> None:
    """A new reason needs a server that shows it."""
    assert {reason for server in EVERY_SERVER for _, reason in server.expected} == set(Reason) - {OURS}


async def test_every_warning_is_shown() -> None:
    """A new warning needs a server that shows it."""
    assert {warning for server in EVERY_SERVER for warning in server.warnings} == set(WarningName)


# ---------------------------------------------------------------- the deep look

HEALTHY = [server for server in EVERY_SERVER if server.healthy]


@pytest.mark.parametrize("server", HEALTHY, ids=lambda server: server.server_name)
async def test_a_deep_look_tells_something_and_is_polite(server: LabServer, federation: Federation) -> None:
    """No question about the proxy stays open, nobody is asked more than a few times, and each time we say who asks."""
    report = await probe(server, federation)
    listeners = federation.server(server.server_name).listeners.values()
    asked_before = [len(listener.requests) for listener in listeners]
    looked = await run(network(federation, PROBE_SECONDS), report, PROBE_SECONDS, NOTARIES)
    assert [type(seen.deep.proxy) for seen in looked.endpoints if seen.deep] == [Passed] * len(report.endpoints)
    asked = [list(listener.requests)[before:] for listener, before in zip(listeners, asked_before, strict=True)]
    assert 0 < max(map(len, asked)) <= MOST_REQUESTS
    assert {request.user_agent for requests in asked for request in requests} == {USER_AGENT}
