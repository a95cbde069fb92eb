"""Deep looks, in a world written as tables. Over real sockets, every server of the lab is looked at in `e2e`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Response, json_response, redirect
from exporter.model import names
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecords
from exporter.model.outcomes import Failed, Passed
from exporter.model.reasons import Reason
from exporter.model.report import EndpointDeepLook, Report
from exporter.probing.deep_look import MAX_TLS_SESSIONS, run
from exporter.probing.evidence import HttpResponse, VerifyError
from exporter.probing.prober import Prober
from exporter.probing.stages import keys
from exporter.probing.stages.proxy import ENCODED_SLASH_PATH, PLAIN_PATH
from tests.certificates import handshake
from tests.fake_world import (
    SILENCE,
    FakeNetwork,
    Reaction,
    Server,
    delegates,
    federates,
    most_talks,
    received,
    srv_record,
    website,
)

LONG, SHORT = 3600.0, 0.3  # seconds for what never waits, and for what does
WEB, OTHER_WEB = "192.0.2.1:443", "192.0.2.9:443"
HS_4, HS_6 = "192.0.2.2:8449", "[2001:db8::2]:8449"
AT_8448 = "192.0.2.1:8448"
UNAUTHORIZED = received(json_response({"errcode": "M_UNAUTHORIZED", "error": "a sentence"}, 401))


def by_well_known() -> FakeNetwork:
    """example.test, with two web servers, delegated to a host with two addresses."""
    homeserver = federates("example.test", "hs.example.test")
    website = delegates("example.test", "hs.example.test:8449")
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1", "192.0.2.9"), "hs.example.test": ("192.0.2.2", "2001:db8::2")},
        servers={WEB: website, OTHER_WEB: website, HS_4: homeserver, HS_6: homeserver},
    )


def by_default_port() -> FakeNetwork:
    """At port 8448 of example.test itself, with nothing at port 443."""
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)}, servers={AT_8448: federates("example.test", "example.test")}
    )


async def probe(network: FakeNetwork, server_name: str = "example.test") -> Report:
    report = await Prober(network, LONG).probe(names.parse(server_name))
    network.asked.clear()
    return report


async def look(network: FakeNetwork, server_name: str = "example.test") -> Report:
    return await run(network, await probe(network, server_name), LONG)


def well_knowns(report: Report) -> dict[str, str]:
    assert report.deep is not None
    return report.deep.well_knowns


def endpoint_looks(report: Report) -> list[EndpointDeepLook | None]:
    return [endpoint.deep for endpoint in report.endpoints]


# ---------------------------------------------------------------- the whole


async def test_adds_to_a_report_and_changes_nothing_else() -> None:
    """It has a time of its own, as it may stay when the report is long gone."""
    network = by_well_known()
    report = await probe(network)
    before = datetime.now(UTC)
    looked = await run(network, report, LONG)
    assert looked.deep is not None
    assert before <= looked.deep.made_at <= before + timedelta(seconds=LONG)
    bare = replace(looked, deep=None, endpoints=tuple(replace(seen, deep=None) for seen in looked.endpoints))
    assert bare == report


async def test_looks_at_every_endpoint_over_one_connection() -> None:
    """Six small requests at most, and the connection is closed afterwards."""
    network = by_default_port()
    await look(network)
    assert [line.split("/")[0] for line in network.asked if f" {AT_8448}" in line] == [
        f"open {AT_8448}",
        f"TLS {AT_8448} example.test",
        f"GET {AT_8448} example.test:8448",
        *[f"GET {AT_8448} example.test"] * 4,
        f"PUT {AT_8448} example.test",
        f"close {AT_8448}",
    ]


async def test_silence_ends_in_time() -> None:
    """Of all servers at once. And it is no fault: what nobody answers is inconclusive."""
    network = by_well_known()
    report = await probe(network)
    network.servers = dict.fromkeys(network.servers, SILENCE)
    network.asked.clear()
    looked = await run(network, report, SHORT)
    asked = [line.split()[0] for line in network.asked]
    assert (asked.count("open"), asked.count("close")) == (4, 4)
    assert "open" not in asked[asked.index("close") :]
    assert (well_knowns(looked), endpoint_looks(looked)) == ({}, [None, None])


async def test_talks_to_few_at_once() -> None:
    """Web servers and endpoints together: TLS takes memory."""
    network = by_well_known()
    report = await probe(network)
    network.servers = dict.fromkeys(network.servers, Server(SILENCE))
    await run(network, report, SHORT)
    assert sum(line.startswith("open") for line in network.asked) == 4
    assert most_talks(network.asked) == MAX_TLS_SESSIONS


# ---------------------------------------------------------------- the well-known of every address

EXPIRED = Server(handshake("example.test", errors=[VerifyError(10, 0)]))


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        (delegates("example.test", "other.test"), "other.test"),
        (website("example.test", received(Response(404))), "no delegation"),
        (website("example.test", received(Response(500))), "http_status"),
        (website("example.test", received(Response(200, (), b"<!doctype html>"))), "not_json"),
        (website("example.test", received(redirect("https://b.test/x"))), "a redirect to https://b.test/x"),
        (website("example.test", received(redirect("https://b.test/\n"))), "a redirect to https://b.test/\ufffd"),
        (website("example.test", received(Response(302))), "a redirect to nowhere"),
        (EXPIRED, "certificate_expired"),
    ],
)
async def test_tells_what_each_address_answers(server: Server, answer: str) -> None:
    """In a word; a redirect is not followed."""
    network = by_well_known()
    network.servers[OTHER_WEB] = server
    assert well_knowns(await look(network)) == {WEB: "hs.example.test:8449", OTHER_WEB: answer}


@pytest.mark.parametrize("server", [ConnectionRefusedError(111, "refused"), Server(ConnectionResetError(104, "reset"))])
async def test_addresses_that_answer_nothing_are_missing(server: Reaction[Server]) -> None:
    """Peers go on to the next one."""
    network = by_well_known()
    network.servers[OTHER_WEB] = server
    assert well_knowns(await look(network)) == {WEB: "hs.example.test:8449"}


@pytest.mark.parametrize("server_name", ["192.0.2.1", "example.test:8448"])
async def test_asks_for_no_well_known_where_peers_do_not(server_name: str) -> None:
    """Neither of an address nor of a name with a port."""
    network = by_default_port()
    looked = await look(network, server_name)
    assert looked.deep is not None
    assert (looked.deep.well_knowns, looked.deep.srv) == ({}, None)
    assert not [line for line in network.asked if WEB in line or line.startswith("SRV")]


# ---------------------------------------------------------------- SRV records behind a well-known

RECORD = srv_record(10, 5, 8450, "old.example.test")


async def test_finds_the_records_that_a_well_known_makes_peers_pass_over() -> None:
    """Those of the server name."""
    network = by_well_known()
    network.services["_matrix._tcp.example.test"] = (RECORD,)
    looked = await look(network)
    assert looked.deep is not None
    assert looked.deep.srv == SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: (RECORD,)}, SrvService.MATRIX)


async def test_asks_for_no_records_again() -> None:
    """Without a well-known the probe has asked for them already."""
    network = by_default_port()
    looked = await look(network)
    assert looked.deep is not None
    assert looked.deep.srv is None
    assert not [line for line in network.asked if line.startswith("SRV")]


# ---------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    "server",
    [
        ConnectionRefusedError(111, "refused"),
        Server(ConnectionResetError(104, "reset")),
        Server(handshake("hs.example.test", errors=[VerifyError(10, 0)])),
    ],
)
async def test_sends_nothing_to_an_endpoint_that_cannot_be_trusted(server: Reaction[Server]) -> None:
    """Neither where the probe found it so, nor where it became so in between."""
    network = by_well_known()
    healthy = await probe(network)
    network.servers[HS_4] = server
    for report in (await probe(network), healthy):
        looked = await run(network, report, LONG)
        assert [look is None for look in endpoint_looks(looked)] == [True, False]
        assert not [line for line in network.asked if line.startswith((f"GET {HS_4}", f"PUT {HS_4}"))]


async def test_tells_what_the_reverse_proxy_does() -> None:
    """Of each endpoint for itself."""
    network = by_well_known()
    pages = {**federates("example.test", "hs.example.test").pages, PLAIN_PATH: UNAUTHORIZED}
    network.servers[HS_4] = Server(handshake("hs.example.test"), pages)
    network.servers[HS_6] = Server(handshake("hs.example.test"), {**pages, ENCODED_SLASH_PATH: UNAUTHORIZED})
    decodes, leaves_alone = endpoint_looks(await look(network))
    assert decodes is not None
    assert isinstance(decodes.proxy, Failed)
    assert [problem.reason for problem in decodes.proxy.problems] == [Reason.PATH_DECODED]
    assert leaves_alone is not None
    assert isinstance(leaves_alone.proxy, Passed)


# ---------------------------------------------------------------- Host with the port


async def differing(answer: Reaction[HttpResponse], server_name: str = "example.test") -> str | None:
    """Where the keys are answered so, once the probe has seen good ones."""
    network = by_default_port()
    network.servers[AT_8448] = homeserver = federates(server_name, names.parse(server_name).host)
    report = await probe(network, server_name)
    network.servers[AT_8448] = replace(homeserver, pages={**homeserver.pages, keys.PATH: answer})
    (seen,) = (await run(network, report, LONG)).endpoints
    assert seen.deep is not None
    return seen.deep.host_with_port_differs


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (received(Homeserver("example.test").keys()), "other keys where Host is example.test:8448"),
        (received(Homeserver("other.test").keys()), "server_name_mismatch where Host is example.test:8448"),
        (received(Response(404)), "http_status where Host is example.test:8448"),
        (ConnectionResetError(104, "reset"), "http_protocol where Host is example.test:8448"),
    ],
)
async def test_tells_how_answers_change_where_host_bears_the_port(answer: Reaction[HttpResponse], how: str) -> None:
    assert await differing(answer) == how


async def test_says_nothing_where_they_do_not_change() -> None:
    (seen,) = (await look(by_default_port())).endpoints
    assert seen.deep is not None
    assert seen.deep.host_with_port_differs is None


async def test_asks_nothing_where_host_bears_a_port_anyway() -> None:
    """As the specification has it."""
    network = by_well_known()
    await look(network)
    assert not [line for line in network.asked if line.endswith(keys.PATH)]


async def test_asks_an_ipv6_address_too() -> None:
    """Its brackets are no port."""
    network = FakeNetwork(servers={"[2001:db8::1]:8448": federates("[2001:db8::1]", "2001:db8::1")})
    await look(network, "[2001:db8::1]")
    assert f"GET [2001:db8::1]:8448 [2001:db8::1]:8448{keys.PATH}" in network.asked


async def test_asks_nothing_where_the_keys_are_broken_anyhow() -> None:
    network = by_default_port()
    network.servers[AT_8448] = federates("other.test", "example.test")
    report = await look(network)
    assert isinstance(report.endpoints[0].keys, Failed)
    assert not [line for line in network.asked if line.endswith(keys.PATH)]
