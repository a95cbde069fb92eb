"""Every reason and every warning, each shown by a server of the lab: real DNS messages, real TLS, real HTTP."""

import re
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
from exporter.judging.remedies import BY_STATUS, FOLLOWS_FROM_WELL_KNOWN
from exporter.judging.warnings import WarningName
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.outcomes import Passed
from exporter.model.reasons import REASONS_OF_PROXY, Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.probing.deep_look import run
from exporter.probing.evidence import HttpResponse
from exporter.probing.prober import Prober
from exporter.probing.stages import version
from exporter.reports.report_json import report_json
from exporter.reports.server_state import ServerState
from tests.addresses import ip_endpoint
from tests.lab.catalogue import EVERY_SERVER, WITH_BOTH_WAYS
from tests.lab.notaries import NOTARY
from tests.lab.with_warnings import DELEGATION_LOST

PROBE_SECONDS = 60.0
SILENT_SECONDS = 3.0  # where a lookup, a connection or a response never ends

NOT_SHOWN = Reason.INTERNAL_ERROR  # a fault of the exporter, which no server can show
SHOWN_BY_A_ROUTER = Reason.CONNECT_PROHIBITED  # in `tests/internet/test_firewall.py`
SHOWN_BY_A_PROXY = {Reason.TUNNEL_FAILED, Reason.TUNNEL_TIMEOUT, *REASONS_OF_PROXY}  # in `tests/internet/test_proxy.py`
NOTARIES = [names.parse(NOTARY)]
MAX_REQUESTS = 11  # from a deep look to one endpoint

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.lab]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federation() -> AsyncIterator[Federation]:
    async with Federation(EVERY_SERVER) as federation:
        yield federation


def timeout_for(server: LabServer) -> float:
    return SILENT_SECONDS if any(reason.endswith("timeout") for _, reason in server.expected) else PROBE_SECONDS


def network(federation: Federation, seconds: float) -> Internet:
    """Return a network that allows only public addresses, and those that the lab redirects to loopback."""
    return Internet(
        timeout=seconds,
        resolvers=lambda: [ip_endpoint(federation.resolver)],
        ca_file=federation.ca_file,
        connect_to={key: ip_endpoint(address) for key, address in federation.connect_to.items()},
    )


async def probe(server: LabServer, federation: Federation) -> Report:
    seconds = timeout_for(server)
    return await Prober(network(federation, seconds), seconds).probe(names.parse(server.server_name))


async def probe_deeply(server: LabServer, federation: Federation) -> Report:
    """Run a probe and a deep look."""
    seconds = timeout_for(server)
    return await run(network(federation, seconds), await probe(server, federation), seconds, NOTARIES)


async def state_of(server: LabServer, federation: Federation) -> ServerState:
    """Return the state after one probe, or after two if the server loses its well-known in between."""
    state = ServerState(WatchedServer(names.parse(server.server_name), interval=300))
    if server.server_name == DELEGATION_LOST:
        state = state.with_report(await probe_deeply(server, federation))
        del federation.server(server.server_name).resources[WELL_KNOWN]
    return state.with_report(await probe_deeply(server, federation))


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


PYTHON = re.compile(r"\bb['\"]|bytearray|<class|object at 0x|\b(None|True|False)\b|\w(Error|Exception)\b")
"""What only people who know Python can read."""


def details_of_warnings(state: ServerState) -> list[str]:
    return [located.detail for located in state.warnings]


# ---------------------------------------------------------------- one by one


@pytest.mark.parametrize("server", EVERY_SERVER, ids=lambda server: server.server_name)
async def test_every_server_of_the_lab_has_its_problems_and_warnings(server: LabServer, federation: Federation) -> None:
    """The report has exactly those of the table, in words and not as Python writes it, and nothing is logged."""
    with capture_logs() as logs:
        state = await state_of(server, federation)
    assert state.report is not None
    assert problems(state.report) == server.expected
    assert {located.warning for located in state.warnings} == server.warnings
    details = [*(located.problem.detail for located in verdict.problems(state.report)), *details_of_warnings(state)]
    assert [detail for detail in details if PYTHON.search(detail)] == []
    assert logs == []


async def test_a_fault_of_the_exporter_is_reported_as_one(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is not to blame, and the error is logged."""

    def fail(_: HttpResponse) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(version, "evaluate", fail)
    with capture_logs() as logs:
        report = await probe(EVERY_SERVER[0], federation)
    assert problems(report) == {(Stage.VERSION, NOT_SHOWN)}
    assert [(line["event"], line["log_level"]) for line in logs] == [("internal error", "error")]


REMEDIES = {
    "homeserver-down.lab.test": (
        "status 502, expected 200; Server: nginx; body: <!doctype html><title>502 Bad Gateway</title>",
        BY_STATUS[502],
    ),
    "challenge.lab.test": (
        (
            "status 403, expected 200; from Cloudflare (cf-mitigated: challenge); Server: cloudflare; body: "
            "<!doctype html><title>Just a moment...</title>"
        ),
        WarningName.INTERMEDIARY.remedy,
    ),
    "misdirected.lab.test": (
        (
            "status 421, expected 200; from a reverse proxy (status 421: SNI or Host does not match); "
            "Server: nginx; body: <!doctype html><title>421 Misdirected Request</title>"
        ),
        BY_STATUS[421],
    ),
    "origin-tls.lab.test": (
        (
            "status 525, expected 200; from Cloudflare (status 525: its TLS handshake with the server behind it "
            "fails); Server: cloudflare; body: <!doctype html><title>525: SSL handshake failed</title>"
        ),
        BY_STATUS[525],
    ),
    "compressed.lab.test": (
        (
            "compressed (gzip), although the request does not accept that; from a proxy that compresses "
            "(content-encoding: gzip)"
        ),
        WarningName.INTERMEDIARY.remedy,
    ),
    "well-known-only.lab.test": ("Connection refused", FOLLOWS_FROM_WELL_KNOWN),
}


@pytest.mark.parametrize("name", REMEDIES)
async def test_the_last_problem_says_who_answers_and_what_to_do(name: str, federation: Federation) -> None:
    """In the report, causes come first."""
    report = await probe_deeply(federation.server(name).server, federation)
    located = report_json(report)["problems"]
    order = [stage.value for stage in Stage]
    assert [each["stage"] for each in located] == sorted((each["stage"] for each in located), key=order.index)
    assert (located[-1]["detail"], located[-1]["remedy"]) == REMEDIES[name]


# ---------------------------------------------------------------- all of them


async def test_every_reason_is_shown() -> None:
    """A new reason needs a server that shows it."""
    shown = {reason for server in WITH_BOTH_WAYS for _, reason in server.expected}
    assert shown == set(Reason) - {NOT_SHOWN, SHOWN_BY_A_ROUTER} - SHOWN_BY_A_PROXY


async def test_every_warning_is_shown() -> None:
    """A new warning needs a server that shows it."""
    assert {warning for server in WITH_BOTH_WAYS for warning in server.warnings} == set(WarningName)


# ---------------------------------------------------------------- the deep look

HEALTHY = [server for server in EVERY_SERVER if server.healthy]


@pytest.mark.parametrize("server", HEALTHY, ids=lambda server: server.server_name)
async def test_a_deep_look_is_conclusive_and_polite(server: LabServer, federation: Federation) -> None:
    """It passes at every endpoint, sends few requests, and identifies the exporter in each of them."""
    report = await probe(server, federation)
    listeners = federation.server(server.server_name).listeners.values()
    counts = [len(listener.requests) for listener in listeners]
    deep = await run(network(federation, PROBE_SECONDS), report, PROBE_SECONDS, NOTARIES)
    assert [type(result.deep.proxy) for result in deep.endpoints if result.deep] == [Passed] * len(report.endpoints)
    received = [list(listener.requests)[count:] for listener, count in zip(listeners, counts, strict=True)]
    assert 0 < max(map(len, received)) <= MAX_REQUESTS
    assert {request.user_agent for requests in received for request in requests} == {USER_AGENT}
