"""Deep looks that ask notaries: over the lab's real sockets, and in a world written as tables."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from exporter import USER_AGENT, wiring
from exporter.config import Config, NetworkSettings
from exporter.config import HostPort as Written
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
from tests.fake_world import ABSENT, SILENCE, FakeNetwork, Server, federates, received, srv_record
from tests.lab.notaries import NOTARY, NOTARY_SERVERS
from tests.lab.notary import QUERY
from tests.sample_reports import watched
from tests.scrapes import board_of, samples_of, text_of

LONG = 5.0  # seconds for what never waits
SHORT = 0.3  # for what does

# ---------------------------------------------------------------- over real sockets


@pytest_asyncio.fixture
async def federation() -> AsyncIterator[Federation]:
    async with Federation(NOTARY_SERVERS) as federation:
        yield federation


def keys_of(federation: Federation, server_name: str) -> dict[str, str]:
    key = federation.server(server_name).homeserver.key
    return {key_id(key): encode_public_key(key)}


async def probe_and_ask(federation: Federation, server_name: str) -> tuple[Report, tuple[NotaryResult, ...]]:
    connect_to = {key: ip_endpoint(value) for key, value in federation.connect_to.items()}
    resolvers = [ip_endpoint(federation.resolver)]
    network = Internet(timeout=LONG, resolvers=resolvers, ca_file=federation.ca_file, connect_to=connect_to)
    report = await Prober(network, LONG).probe(names.parse(server_name))
    return report, await query_notaries(network, report, [names.parse(NOTARY)], Deadline.for_probe(LONG))


def requests(federation: Federation) -> list[Request]:
    running = federation.server(NOTARY)
    return [*running.website.requests, *running.listener.requests]


async def test_a_notary_that_gives_out_the_same_keys(federation: Federation) -> None:
    """It is found by its own well-known, and asked one question, without credentials."""
    report, (look,) = await probe_and_ask(federation, "confirmed.lab.test")
    assert isinstance(look.outcome, Passed)
    assert (look.notary.text, look.outcome.found.keys) == (NOTARY, keys_of(federation, "confirmed.lab.test"))
    well_known, question = requests(federation)
    assert well_known.path == "/.well-known/matrix/server"
    assert question == Request(
        "matrix.notary.lab.test", "POST", QUERY, "matrix.notary.lab.test:443", USER_AGENT, question.body
    )
    moment = int(report.ended_at.timestamp() * 1000)
    assert json.loads(question.body) == {
        "server_keys": {
            "confirmed.lab.test": {key: {"minimum_valid_until_ts": moment} for key in look.outcome.found.keys}
        }
    }


async def test_a_notary_that_gives_out_other_keys(federation: Federation) -> None:
    """It has nothing under the ids that are published, and is asked once more, for all that it has."""
    _, (look,) = await probe_and_ask(federation, "impersonated.lab.test")
    (published,) = keys_of(federation, "impersonated.lab.test")
    assert isinstance(look.outcome, Failed)
    assert look.outcome.found is not None
    (given,) = look.outcome.found.keys
    assert look.outcome.problems == (
        Problem(
            Reason.SIGNATURE_INVALID,
            f"notary.lab.test gives out {given}, where the server publishes {published}",
        ),
    )
    _, first, second = requests(federation)
    assert list(json.loads(first.body)["server_keys"]["impersonated.lab.test"]) == [published]
    assert json.loads(second.body) == {"server_keys": {"impersonated.lab.test": {}}}


async def test_a_notary_that_does_not_know_the_server_tells_nothing(federation: Federation) -> None:
    _, looks = await probe_and_ask(federation, "unknown.lab.test")
    assert [(look.outcome, look.inconclusive_because) for look in looks] == [
        (SKIPPED, "it has no valid keys of unknown.lab.test")
    ]


async def test_a_homeserver_that_is_no_notary_tells_nothing(federation: Federation) -> None:
    """As all of the Conduit family."""
    del federation.server(NOTARY).federation_site.resources[QUERY]
    _, looks = await probe_and_ask(federation, "confirmed.lab.test")
    assert [(look.outcome, look.inconclusive_because) for look in looks] == [
        (SKIPPED, "http_status: status 404, expected 200")
    ]


async def test_no_server_is_its_own_notary(federation: Federation) -> None:
    """It would only repeat itself."""
    report, looks = await probe_and_ask(federation, NOTARY)
    assert (verdict.federates(report), looks) == (True, ())


async def test_what_the_configuration_asks_for_reaches_the_metrics(federation: Federation) -> None:
    """The stage fails, the warning holds, and the server federates all the same."""
    name = "impersonated.lab.test"
    report = await prober_of(federation, (NOTARY,)).probe(names.parse(name))
    deep = await prober_of(federation, (NOTARY,)).run_deep_look(report)
    (look,) = deep.deep.notaries if deep.deep else ()
    assert isinstance(look.outcome, Failed)
    assert verdict.federates(deep)
    assert [warning for warning in warnings(deep) if warning.warning is WarningName.NOTARY_DISAGREES] == [
        ActiveWarning(WarningName.NOTARY_DISAGREES, look.outcome.problems[0].detail)
    ]
    scrape = samples_of(text_of(board_of([watched(name)], deep, at=deep.ended_at)))
    assert {line for line in scrape if "notary" in line and "duration" not in line} == {
        f'matrix_federation_stage_success{{probe_stage="notary",server_name="{name}"}} 0.0',
        f'matrix_federation_failure_info{{probe_stage="notary",reason="signature_invalid",server_name="{name}"}} 1.0',
        f'matrix_federation_warning_info{{server_name="{name}",warning="notary_disagrees"}} 1.0',
    }


async def test_nobody_is_asked_unless_the_configuration_says_so(federation: Federation) -> None:
    """Off by default: a notary is somebody else's server."""
    report = await prober_of(federation, ()).probe(names.parse("confirmed.lab.test"))
    deep = await prober_of(federation, ()).run_deep_look(report)
    assert deep.deep is not None
    assert (deep.deep.notaries, requests(federation)) == ((), [])


def prober_of(federation: Federation, notaries: Sequence[str]) -> Prober:
    network = NetworkSettings(
        resolvers=(written(federation.resolver),),
        ca_file=federation.ca_file,
        connect_to={key: written(value) for key, value in federation.connect_to.items()},
        notaries=tuple(map(names.parse, notaries)),
    )
    return wiring.build_prober(Config(network=network))


def written(address: str) -> Written:
    ip, port = ip_endpoint(address)
    return Written(str(ip), port)


# ---------------------------------------------------------------- in a world written as tables

EXAMPLE, ONE, TWO = (names.parse(f"{name}.test:8448") for name in ("example", "one", "two"))


@pytest.fixture
def network() -> FakeNetwork:
    """A healthy server, and two notaries that do not know it."""
    knows_nobody = received(json_response({"server_keys": []}))
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "one.test": ("192.0.2.2",), "two.test": ("192.0.2.3",)},
        servers={
            "192.0.2.1:8448": federates("example.test:8448", "example.test"),
            "192.0.2.2:8448": Server(handshake("one.test"), {QUERY: knows_nobody}),
            "192.0.2.3:8448": Server(handshake("two.test"), {QUERY: knows_nobody}),
        },
    )


async def asked(network: FakeNetwork, *notaries: ServerName, within: float = LONG) -> list[tuple[str, str | None]]:
    """What is told of each notary, where none has an outcome."""
    report = await Prober(network, LONG).probe(EXAMPLE)
    network.asked.clear()
    looks = await query_notaries(network, report, notaries, Deadline.for_probe(within))
    assert [look.outcome for look in looks] == [SKIPPED] * len(looks)
    return [(look.notary.text, look.inconclusive_because) for look in looks]


async def test_notaries_are_told_of_in_the_order_of_the_configuration(network: FakeNetwork) -> None:
    nothing = "it has no valid keys of example.test:8448"
    assert await asked(network, TWO, ONE) == [("two.test:8448", nothing), ("one.test:8448", nothing)]


async def test_no_notary_is_asked_about_keys_that_do_not_verify(network: FakeNetwork) -> None:
    """There is nothing to compare with."""
    network.servers["192.0.2.1:8448"] = Server(handshake("example.test"))
    assert (await asked(network, ONE), network.asked) == ([], [])


async def test_a_notary_costs_one_connection(network: FakeNetwork) -> None:
    """Which is closed."""
    await asked(network, ONE)
    moves = [line.partition(" ")[0] for line in network.asked]
    assert moves == ["addresses", "open", "TLS", "POST", "POST", "close"]


@pytest.mark.parametrize(
    ("server", "because"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connect_refused: Connection refused"),
        (Server(SILENCE), "tls_timeout: no answer in time (TLS step)"),
        (Server(handshake("other.test")), "certificate_name_mismatch: "),
        (Server(handshake("one.test"), {QUERY: SILENCE}), "http_timeout: no answer in time (HTTP step)"),
        (Server(handshake("one.test"), {QUERY: ABSENT}), "http_status: status 404, expected 200"),
        (Server(handshake("one.test"), {QUERY: received(Response(200, (), b"<html>"))}), "not_json: "),
    ],
)
async def test_a_notary_that_cannot_be_asked_tells_nothing(
    network: FakeNetwork, server: Server | Exception, because: str
) -> None:
    """It is not this server that is broken."""
    network.servers["192.0.2.2:8448"] = server
    ((_, told),) = await asked(network, ONE, within=SHORT)
    assert told is not None
    assert told.startswith(because)


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("missing.test", "nxdomain: missing.test does not exist"),
        ("refuses.test", "srv_service_unavailable: "),
        ("failing.test", "dns_timeout: "),
    ],
)
async def test_a_notary_that_cannot_be_found_tells_nothing(network: FakeNetwork, name: str, because: str) -> None:
    """The step at which its own discovery ends says why."""
    network.services["_matrix-fed._tcp.refuses.test"] = (srv_record(0, 0, 0, "."),)
    network.services["_matrix-fed._tcp.failing.test"] = DnsTimeoutError("no resolver answers")
    ((_, told),) = await asked(network, names.parse(name))
    assert told is not None
    assert told.startswith(because)
