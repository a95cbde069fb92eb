"""Deep looks that query notaries: over the lab's real sockets, and in a network written as tables."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from exporter import USER_AGENT, wiring
from exporter.config import Config, HostPort, NetworkSettings
from exporter.demo.federation import Federation
from exporter.demo.homeserver import encode_public_key, key_id
from exporter.demo.https_server import Request, Response, json_response
from exporter.internet import Internet
from exporter.judging import verdict
from exporter.judging.warnings import ActiveWarning, WarningName, warnings
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import NotaryResult, Report
from exporter.probing.attempt import Deadline
from exporter.probing.network import DnsTimeoutError
from exporter.probing.notaries import query_notaries
from exporter.probing.prober import Prober
from tests.addresses import ip_endpoint
from tests.certificates import handshake
from tests.fake_world import ABSENT, SILENCE, FakeNetwork, Server, healthy_homeserver, http_response, srv_record
from tests.lab.notaries import NOTARY, NOTARY_SERVERS
from tests.lab.notary import QUERY
from tests.sample_reports import watched_server
from tests.scrapes import board_of, samples_of, text_of

LONG = 5.0  # seconds, for servers that respond at once
SHORT = 0.3  # for servers that are silent

# ---------------------------------------------------------------- over real sockets


@pytest_asyncio.fixture
async def federation() -> AsyncIterator[Federation]:
    async with Federation(NOTARY_SERVERS) as federation:
        yield federation


def keys_of(federation: Federation, server_name: str) -> dict[str, str]:
    key = federation.server(server_name).homeserver.key
    return {key_id(key): encode_public_key(key)}


async def probe_and_query(federation: Federation, server_name: str) -> tuple[Report, tuple[NotaryResult, ...]]:
    connect_to = {key: ip_endpoint(value) for key, value in federation.connect_to.items()}
    resolvers = [ip_endpoint(federation.resolver)]
    network = Internet(timeout=LONG, resolvers=lambda: resolvers, ca_file=federation.ca_file, connect_to=connect_to)
    report = await Prober(network, LONG).probe(names.parse(server_name))
    return report, await query_notaries(network, report, [names.parse(NOTARY)], Deadline.for_probe(LONG))


def requests(federation: Federation) -> list[Request]:
    running = federation.server(NOTARY)
    return [*running.website.requests, *running.listener.requests]


async def test_a_notary_that_returns_the_same_keys(federation: Federation) -> None:
    """It is found by its own well-known, and gets one query without credentials."""
    report, (result,) = await probe_and_query(federation, "confirmed.lab.test")
    assert isinstance(result.outcome, Passed)
    assert (result.notary.text, result.outcome.found.keys) == (NOTARY, keys_of(federation, "confirmed.lab.test"))
    well_known, query = requests(federation)
    assert well_known.path == "/.well-known/matrix/server"
    assert query == Request(
        "matrix.notary.lab.test", "POST", QUERY, "matrix.notary.lab.test:443", USER_AGENT, query.body
    )
    moment = int(report.ended_at.timestamp() * 1000)
    assert json.loads(query.body) == {
        "server_keys": {
            "confirmed.lab.test": {key: {"minimum_valid_until_ts": moment} for key in result.outcome.found.keys}
        }
    }


async def test_a_notary_that_returns_other_keys(federation: Federation) -> None:
    """It has nothing under the published key IDs, so it gets a second query, for all keys that it has."""
    _, (result,) = await probe_and_query(federation, "impersonated.lab.test")
    (published,) = keys_of(federation, "impersonated.lab.test")
    assert isinstance(result.outcome, Failed)
    assert result.outcome.found is not None
    (returned,) = result.outcome.found.keys
    assert result.outcome.problems == (
        Problem(
            Reason.SIGNATURE_INVALID,
            f"notary.lab.test returns {returned}, but the server publishes {published}",
        ),
    )
    _, first, second = requests(federation)
    assert list(json.loads(first.body)["server_keys"]["impersonated.lab.test"]) == [published]
    assert json.loads(second.body) == {"server_keys": {"impersonated.lab.test": {}}}


async def test_a_notary_that_does_not_know_the_server_is_inconclusive(federation: Federation) -> None:
    """The result says why."""
    _, results = await probe_and_query(federation, "unknown.lab.test")
    assert [(result.outcome, result.inconclusive_because) for result in results] == [
        (SKIPPED, "it has no valid keys for unknown.lab.test")
    ]


async def test_a_homeserver_that_is_not_a_notary_is_inconclusive(federation: Federation) -> None:
    """No homeserver of the Conduit family is a notary."""
    del federation.server(NOTARY).federation_site.resources[QUERY]
    _, results = await probe_and_query(federation, "confirmed.lab.test")
    ((outcome, because),) = [(result.outcome, result.inconclusive_because) for result in results]
    assert outcome is SKIPPED
    assert (because or "").startswith("http_status: status 404, expected 200")


async def test_no_server_is_its_own_notary(federation: Federation) -> None:
    """It would only repeat itself."""
    report, results = await probe_and_query(federation, NOTARY)
    assert (verdict.federates(report), results) == (True, ())


async def test_the_configured_notaries_reach_the_metrics(federation: Federation) -> None:
    """The stage fails and the warning applies, but the server still federates."""
    name = "impersonated.lab.test"
    report = await prober_of(federation, (NOTARY,)).probe(names.parse(name))
    deep = await prober_of(federation, (NOTARY,)).run_deep_look(report)
    (result,) = deep.deep.notaries if deep.deep else ()
    assert isinstance(result.outcome, Failed)
    assert verdict.federates(deep)
    assert [warning for warning in warnings(deep) if warning.warning is WarningName.NOTARY_DISAGREES] == [
        ActiveWarning(WarningName.NOTARY_DISAGREES, result.outcome.problems[0].detail)
    ]
    scrape = samples_of(text_of(board_of([watched_server(name)], deep, at=deep.ended_at)))
    assert {line for line in scrape if "notary" in line and "duration" not in line} == {
        f'matrix_federation_stage_success{{probe_stage="notary",server_name="{name}"}} 0.0',
        f'matrix_federation_failure_info{{probe_stage="notary",reason="signature_invalid",server_name="{name}"}} 1.0',
        f'matrix_federation_warning_info{{server_name="{name}",warning="notary_disagrees"}} 1.0',
    }


async def test_no_notary_is_queried_by_default(federation: Federation) -> None:
    """A notary belongs to other people."""
    report = await prober_of(federation, ()).probe(names.parse("confirmed.lab.test"))
    deep = await prober_of(federation, ()).run_deep_look(report)
    assert deep.deep is not None
    assert (deep.deep.notaries, requests(federation)) == ((), [])


def prober_of(federation: Federation, notaries: Sequence[str]) -> Prober:
    network = NetworkSettings(
        resolvers=(host_port(federation.resolver),),
        ca_file=federation.ca_file,
        connect_to={key: host_port(value) for key, value in federation.connect_to.items()},
        notaries=tuple(map(names.parse, notaries)),
    )
    return wiring.build_prober(Config(network=network))


def host_port(address: str) -> HostPort:
    ip, port = ip_endpoint(address)
    return HostPort(str(ip), port)


# ---------------------------------------------------------------- in a network written as tables

EXAMPLE, ONE, TWO = (names.parse(f"{name}.test:8448") for name in ("example", "one", "two"))


@pytest.fixture
def network() -> FakeNetwork:
    """Return a network with a healthy server, and two notaries that do not know it."""
    no_keys = http_response(json_response({"server_keys": []}))
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "one.test": ("192.0.2.2",), "two.test": ("192.0.2.3",)},
        servers={
            "192.0.2.1:8448": healthy_homeserver("example.test:8448", "example.test"),
            "192.0.2.2:8448": Server(handshake("one.test"), {QUERY: no_keys}),
            "192.0.2.3:8448": Server(handshake("two.test"), {QUERY: no_keys}),
        },
    )


async def inconclusive(
    network: FakeNetwork, *notaries: ServerName, within: float = LONG
) -> list[tuple[str, str | None]]:
    """Return why each notary is inconclusive. All of them must be."""
    report = await Prober(network, LONG).probe(EXAMPLE)
    network.calls.clear()
    results = await query_notaries(network, report, notaries, Deadline.for_probe(within))
    assert [result.outcome for result in results] == [SKIPPED] * len(results)
    return [(result.notary.text, result.inconclusive_because) for result in results]


async def test_results_are_in_the_order_of_the_configuration(network: FakeNetwork) -> None:
    """The order does not depend on which notary responds first."""
    because = "it has no valid keys for example.test:8448"
    assert await inconclusive(network, TWO, ONE) == [("two.test:8448", because), ("one.test:8448", because)]


async def test_no_notary_is_queried_about_keys_that_do_not_verify(network: FakeNetwork) -> None:
    """There is nothing to compare with."""
    network.servers["192.0.2.1:8448"] = Server(handshake("example.test"))
    assert (await inconclusive(network, ONE), network.calls) == ([], [])


async def test_a_notary_is_queried_over_one_connection(network: FakeNetwork) -> None:
    """The connection is closed in the end."""
    await inconclusive(network, ONE)
    steps = [line.partition(" ")[0] for line in network.calls]
    assert steps == ["addresses", "open", "TLS", "POST", "POST", "close"]


@pytest.mark.parametrize(
    ("server", "because"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connect_refused: Connection refused"),
        (Server(SILENCE), "tls_timeout: no answer in time (TLS step)"),
        (Server(handshake("other.test")), "certificate_name_mismatch: "),
        (Server(handshake("one.test"), {QUERY: SILENCE}), "http_timeout: no answer in time (HTTP step)"),
        (Server(handshake("one.test"), {QUERY: ABSENT}), "http_status: status 404, expected 200"),
        (Server(handshake("one.test"), {QUERY: http_response(Response(200, (), b"<html>"))}), "not_json: "),
    ],
)
async def test_a_notary_that_cannot_be_queried_is_inconclusive(
    network: FakeNetwork, server: Server | Exception, because: str
) -> None:
    """It is not the probed server that is broken."""
    network.servers["192.0.2.2:8448"] = server
    ((_, found),) = await inconclusive(network, ONE, within=SHORT)
    assert found is not None
    assert found.startswith(because)


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("missing.test", "nxdomain: missing.test does not exist"),
        ("refuses.test", "srv_service_unavailable: "),
        ("failing.test", "dns_timeout: "),
    ],
)
async def test_a_notary_that_cannot_be_found_is_inconclusive(network: FakeNetwork, name: str, because: str) -> None:
    """The reason is the one at which its own discovery ends."""
    network.services["_matrix-fed._tcp.refuses.test"] = (srv_record(0, 0, 0, "."),)
    network.services["_matrix-fed._tcp.failing.test"] = DnsTimeoutError("no resolver answers")
    ((_, found),) = await inconclusive(network, names.parse(name))
    assert found is not None
    assert found.startswith(because)
