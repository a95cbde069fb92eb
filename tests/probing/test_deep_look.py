"""Deep looks, in a network written as tables. In `e2e`, every server of the lab gets one over real sockets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Response, redirect
from exporter.demo.https_server import delegation as delegation_page
from exporter.demo.https_server import support as support_page
from exporter.model import names
from exporter.model.enums import IPFamily, Means, SrvService
from exporter.model.findings import Delegation, SrvRecords
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, Report
from exporter.probing.deep_look import MAX_TLS_SESSIONS, run
from exporter.probing.evidence import HttpResponse, VerifyError
from exporter.probing.prober import Prober
from exporter.probing.stages import keys, support, version, well_known
from exporter.probing.stages.proxy import ENCODED_PATHS
from tests.certificates import handshake
from tests.fake_world import (
    ABSENT,
    SIGNED_PATHS,
    SILENCE,
    FakeNetwork,
    Reaction,
    Server,
    delegating_website,
    healthy_homeserver,
    http_response,
    max_tls_sessions,
    srv_record,
    website,
)

BLOCKED = http_response(Response(403))
LONG, SHORT = 3600.0, 0.3  # seconds: for servers that respond at once, and for servers that are silent
WEB, OTHER_WEB = "192.0.2.1:443", "192.0.2.9:443"
HS_4, HS_6 = "192.0.2.2:8449", "[2001:db8::2]:8449"
AT_8448 = "192.0.2.1:8448"


def by_well_known() -> FakeNetwork:
    """Return a network with example.test, which has two web servers and is delegated to a host with two addresses."""
    homeserver = healthy_homeserver("example.test", "hs.example.test")
    website = delegating_website("example.test", "hs.example.test:8449")
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1", "192.0.2.9"), "hs.example.test": ("192.0.2.2", "2001:db8::2")},
        servers={WEB: website, OTHER_WEB: website, HS_4: homeserver, HS_6: homeserver},
    )


def by_default_port() -> FakeNetwork:
    """Return a network with example.test at port 8448 of itself, and nothing at port 443."""
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)}, servers={AT_8448: healthy_homeserver("example.test", "example.test")}
    )


async def probe(network: FakeNetwork, server_name: str = "example.test") -> Report:
    """Probe a server, and forget the calls of the probe."""
    report = await Prober(network, LONG).probe(names.parse(server_name))
    network.calls.clear()
    return report


async def probe_deeply(network: FakeNetwork, server_name: str = "example.test") -> Report:
    """Probe a server, forget the calls of the probe, and add a deep look."""
    return await run(network, await probe(network, server_name), LONG)


def deep_look(report: Report) -> DeepLook:
    assert report.deep is not None
    return report.deep


def endpoint_looks(report: Report) -> list[EndpointDeepLook | None]:
    return [endpoint.deep for endpoint in report.endpoints]


# ---------------------------------------------------------------- the whole deep look


async def test_adds_to_a_report_and_changes_nothing_else() -> None:
    """It has a time of its own, because it may be kept when the report is replaced. Its CPU time is added."""
    network = by_well_known()
    report = await probe(network)
    before = datetime.now(UTC)
    deeper = await run(network, report, LONG)
    assert before <= deep_look(deeper).made_at <= before + timedelta(seconds=LONG)
    endpoints = tuple(replace(endpoint, deep=None) for endpoint in deeper.endpoints)
    assert deeper.cpu_seconds >= report.cpu_seconds
    assert replace(deeper, deep=None, endpoints=endpoints, cpu_seconds=report.cpu_seconds) == report


async def test_checks_every_endpoint_over_one_connection() -> None:
    """Another connection shows whether the server speaks HTTP/2. Both are closed."""
    network = by_default_port()
    await probe_deeply(network)
    assert [line.split("/")[0] for line in network.calls if f" {AT_8448}" in line] == [
        f"open {AT_8448}",
        f"TLS {AT_8448} example.test",
        f"GET {AT_8448} example.test:8448",
        *[f"GET {AT_8448} example.test"] * 6,
        *[f"PUT {AT_8448} example.test"] * 3,
        f"close {AT_8448}",
        f"open {AT_8448}",
        f"TLS {AT_8448} example.test h2",
        f"close {AT_8448}",
    ]


@pytest.mark.silence
async def test_silence_ends_at_the_deadline() -> None:
    """All servers are given up at the same time, and the look over each family waits for that. Silence is inconclusive,
    not a failure.
    """
    network = by_well_known()
    report = await probe(network)
    network.servers = dict.fromkeys(network.servers, SILENCE)
    network.calls.clear()
    deeper = await run(network, report, SHORT)
    calls = [line.split()[0] for line in network.calls]
    assert (calls.count("open"), calls.count("close")) == (6, 6)
    assert calls[: calls.index("close")].count("open") == 4
    assert (deep_look(deeper).well_knowns, endpoint_looks(deeper)) == ({}, [None, None])


@pytest.mark.silence
async def test_the_number_of_tls_sessions_is_bounded() -> None:
    """Web servers and endpoints share the bound: TLS takes memory."""
    network = by_well_known()
    report = await probe(network)
    network.servers = dict.fromkeys(network.servers, Server(SILENCE))
    await run(network, report, SHORT)
    assert sum(line.startswith("open") for line in network.calls) > MAX_TLS_SESSIONS
    assert max_tls_sessions(network.calls) == MAX_TLS_SESSIONS


# ---------------------------------------------------------------- the well-known of every address

EXPIRED = Server(handshake("example.test", errors=[VerifyError(10, 0)]))


@pytest.mark.parametrize(
    ("server", "summary"),
    [
        (delegating_website("example.test", "other.test"), "other.test"),
        (website("example.test", http_response(Response(404))), "no delegation"),
        (website("example.test", http_response(Response(500))), "http_status"),
        (website("example.test", http_response(Response(200, (), b"<!doctype html>"))), "not_json"),
        (website("example.test", http_response(redirect("https://b.test/x"))), "a redirect to https://b.test/x"),
        (website("example.test", http_response(redirect("https://b.test/\n"))), "a redirect to https://b.test/\ufffd"),
        (website("example.test", http_response(Response(302))), "a redirect without a Location"),
        (EXPIRED, "certificate_expired"),
    ],
)
async def test_summarizes_the_well_known_of_each_address(server: Server, summary: str) -> None:
    """A redirect is not followed."""
    network = by_well_known()
    network.servers[OTHER_WEB] = server
    report = await probe_deeply(network)
    assert deep_look(report).well_knowns == {WEB: "hs.example.test:8449", OTHER_WEB: summary}


@pytest.mark.parametrize("server", [ConnectionRefusedError(111, "refused"), Server(ConnectionResetError(104, "reset"))])
async def test_addresses_without_a_response_are_missing(server: Reaction[Server]) -> None:
    """Peers go on to the next address."""
    network = by_well_known()
    network.servers[OTHER_WEB] = server
    assert deep_look(await probe_deeply(network)).well_knowns == {WEB: "hs.example.test:8449"}


async def test_the_only_address_is_not_asked_again() -> None:
    """The probe has seen what it returns."""
    network = by_well_known()
    network.hosts = {"example.test": ("192.0.2.1",), "hs.example.test": ("192.0.2.2",)}
    report = await probe_deeply(network)
    assert deep_look(report).well_knowns == {}
    assert not [line for line in network.calls if well_known.PATH in line]


@pytest.mark.parametrize("server_name", ["192.0.2.1", "example.test:8448"])
async def test_an_address_or_port_has_no_well_known_and_no_records(server_name: str) -> None:
    """Peers request neither of them."""
    network = by_default_port()
    report = await probe_deeply(network, server_name)
    assert (deep_look(report).well_knowns, deep_look(report).srv) == ({}, None)
    assert not [line for line in network.calls if well_known.PATH in line or line.startswith("SRV")]


# ---------------------------------------------------------------- whom to contact


@pytest.mark.parametrize("server_name", ["example.test", "example.test:8448"])
async def test_the_web_server_says_whom_to_contact(server_name: str) -> None:
    """It does not matter whether it delegates."""
    network = by_default_port()
    network.servers[WEB] = Server(
        handshake("example.test"), {support.PATH: http_response(support_page("example.test"))}
    )
    contacts = deep_look(await probe_deeply(network, server_name)).support
    assert contacts is not None
    assert contacts.page == "https://example.test/support"


@pytest.mark.parametrize(
    ("network", "server_name"), [(by_default_port(), "192.0.2.1"), (by_default_port(), "example.test")]
)
async def test_an_address_or_a_web_server_that_does_not_answer_is_not_asked(
    network: FakeNetwork, server_name: str
) -> None:
    """The probe has found out."""
    assert deep_look(await probe_deeply(network, server_name)).support is None
    assert not [line for line in network.calls if line.startswith("open") and "192.0.2.1:443" in line][1:]
    assert not [line for line in network.calls if support.PATH in line]


# ---------------------------------------------------------------- the well-known over each family


def over_families(report: Report) -> dict[IPFamily, str]:
    """Return, for each family that was looked at, the delegation or why there is none."""
    return {family: describe(outcome) for family, outcome in deep_look(report).well_known_over.items()}


def describe(outcome: Outcome[Delegation]) -> str:
    if isinstance(outcome, Failed):
        return outcome.problems[0].detail
    delegation = found(outcome)
    return str(delegation and (delegation.server or delegation.absent_because))


async def test_looks_at_the_well_known_over_each_family() -> None:
    """A peer may have only one of them. The web servers of example.test have none but IPv4 addresses."""
    assert over_families(await probe_deeply(by_well_known())) == {
        IPFamily.IPV4: "hs.example.test:8449",
        IPFamily.IPV6: Reason.NO_ADDRESSES,
    }


async def test_a_redirect_may_lead_to_a_host_of_one_family() -> None:
    """Peers follow it over the family that they have."""
    network = by_well_known()
    network.hosts["example.test"] = ("192.0.2.1", "2001:db8::1")
    network.hosts["www.example.test"] = ("192.0.2.9",)
    network.servers[WEB] = website("example.test", http_response(redirect("https://www.example.test/x")))
    network.servers["[2001:db8::1]:443"] = network.servers[WEB]
    network.servers[OTHER_WEB] = Server(
        handshake("www.example.test"), {"/x": http_response(delegation_page("hs.example.test:8449"))}
    )
    assert over_families(await probe_deeply(network)) == {
        IPFamily.IPV4: "hs.example.test:8449",
        IPFamily.IPV6: "www.example.test has no IPv6 address",
    }


async def test_the_family_does_not_matter_if_the_homeserver_has_one() -> None:
    """An address that refuses connections does not count."""
    network = by_well_known()
    del network.servers[HS_6]
    assert over_families(await probe_deeply(network)) == {}


# ---------------------------------------------------------------- SRV records behind a well-known

RECORD = srv_record(10, 5, 8450, "old.example.test")


async def test_looks_up_the_records_that_peers_ignore_because_of_a_well_known() -> None:
    """They are those of the server name."""
    network = by_well_known()
    network.services["_matrix._tcp.example.test"] = (RECORD,)
    report = await probe_deeply(network)
    expected = SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: (RECORD,)}, SrvService.MATRIX)
    assert deep_look(report).srv == expected


async def test_does_not_look_up_records_again() -> None:
    """Without a well-known, the probe has looked them up already."""
    network = by_default_port()
    assert deep_look(await probe_deeply(network)).srv is None
    assert not [line for line in network.calls if line.startswith("SRV")]


# ---------------------------------------------------------------- endpoints


BROKEN: list[Reaction[Server]] = [
    ConnectionRefusedError(111, "refused"),
    Server(ConnectionResetError(104, "reset")),
    Server(handshake("hs.example.test", errors=[VerifyError(10, 0)])),
]


@pytest.mark.parametrize("server", BROKEN)
async def test_sends_nothing_to_an_endpoint_that_broke_after_the_probe(server: Reaction[Server]) -> None:
    """Nothing can be said about its proxy."""
    network = by_well_known()
    report = await probe(network)
    network.servers[HS_4] = server
    deeper = await run(network, report, LONG)
    assert [look is None for look in endpoint_looks(deeper)] == [True, False]
    assert not [line for line in network.calls if line.startswith((f"GET {HS_4}", f"PUT {HS_4}"))]


@pytest.mark.parametrize(
    ("server", "look"), [(BROKEN[0], None), (BROKEN[1], EndpointDeepLook())], ids=["refused", "reset"]
)
async def test_sends_nothing_to_an_endpoint_that_the_probe_did_not_reach(
    server: Reaction[Server], look: EndpointDeepLook | None
) -> None:
    """A second look at a TLS handshake that failed finds nothing either."""
    network = by_well_known()
    network.servers[HS_4] = server
    assert endpoint_looks(await probe_deeply(network))[0] == look
    assert not [line for line in network.calls if line.startswith((f"GET {HS_4}", f"PUT {HS_4}"))]


async def test_takes_a_second_look_behind_a_bad_certificate() -> None:
    """It sends no PUT: only whether the right homeserver is behind it is of interest."""
    network = by_well_known()
    network.servers[HS_4] = replace(
        healthy_homeserver("example.test", "hs.example.test"),
        handshake=handshake("hs.example.test", errors=[VerifyError(10, 0)]),
    )
    look = endpoint_looks(await probe_deeply(network))[0]
    assert look is not None
    assert look.second is not None
    assert look.second.means is Means.UNVERIFIED
    assert isinstance(look.second.answers.keys, Passed)
    assert not [line for line in network.calls if line.startswith(f"PUT {HS_4}")]


@pytest.mark.parametrize(("spoken", "broken"), [(None, False), (True, False), (False, True)])
async def test_finds_servers_that_choose_http2_and_do_not_speak_it(*, spoken: bool | None, broken: bool) -> None:
    """Dendrite offers HTTP/2."""
    network = by_default_port()
    network.servers[AT_8448] = replace(healthy_homeserver("example.test", "example.test"), speaks_http2=spoken)
    (look,) = endpoint_looks(await probe_deeply(network))
    assert look is not None
    assert look.http2_broken is broken


async def test_looks_again_as_a_homeserver_where_something_else_answers() -> None:
    """A filter may let only homeservers pass."""
    network = by_default_port()
    homeserver = healthy_homeserver("example.test", "example.test")
    network.servers[AT_8448] = Server(homeserver.handshake, dict.fromkeys(homeserver.pages, BLOCKED), homeserver.pages)
    (look,) = endpoint_looks(await probe_deeply(network))
    assert look is not None
    assert look.second is not None
    assert look.second.means is Means.HOMESERVER_AGENT
    assert isinstance(look.second.answers.keys, Passed)
    assert look.proxy is SKIPPED


async def test_a_filter_says_nothing_about_what_is_forwarded() -> None:
    """It answers in the homeserver's place to everybody else."""
    network = by_default_port()
    homeserver = healthy_homeserver("example.test", "example.test")
    visible = {path: homeserver.pages[path] for path in (version.PATH, keys.PATH)} | dict.fromkeys(
        SIGNED_PATHS, BLOCKED
    )
    network.servers[AT_8448] = Server(homeserver.handshake, visible, homeserver.pages)
    (look,) = endpoint_looks(await probe_deeply(network))
    assert look is not None
    assert look.proxy is SKIPPED


async def test_checks_the_reverse_proxy_of_each_endpoint() -> None:
    """Endpoints are judged separately."""
    network = by_well_known()
    homeserver = healthy_homeserver("example.test", "hs.example.test")
    network.servers[HS_4] = replace(homeserver, pages={**homeserver.pages, ENCODED_PATHS[0]: ABSENT})
    network.servers[HS_6] = homeserver
    decoding, transparent = endpoint_looks(await probe_deeply(network))
    assert decoding is not None
    assert isinstance(decoding.proxy, Failed)
    assert [problem.reason for problem in decoding.proxy.problems] == [Reason.PATH_DECODED]
    assert transparent is not None
    assert isinstance(transparent.proxy, Passed)


# ---------------------------------------------------------------- Host with the port


async def host_with_port_differs(response: Reaction[HttpResponse], server_name: str = "example.test") -> str | None:
    """Return the difference if the probe gets good keys, and the deep look then gets `response`."""
    network = by_default_port()
    network.servers[AT_8448] = homeserver = healthy_homeserver(server_name, names.parse(server_name).host)
    report = await probe(network, server_name)
    network.servers[AT_8448] = replace(homeserver, pages={**homeserver.pages, keys.PATH: response})
    (look,) = endpoint_looks(await run(network, report, LONG))
    assert look is not None
    return look.host_with_port_differs


@pytest.mark.parametrize(
    ("response", "difference"),
    [
        (http_response(Homeserver("example.test").keys()), "different keys when Host is example.test:8448"),
        (http_response(Homeserver("other.test").keys()), "server_name_mismatch when Host is example.test:8448"),
        (http_response(Response(404)), "http_status when Host is example.test:8448"),
        (ConnectionResetError(104, "reset"), "http_protocol when Host is example.test:8448"),
    ],
)
async def test_finds_responses_that_differ_when_host_contains_the_port(
    response: Reaction[HttpResponse], difference: str
) -> None:
    """The text says how they differ."""
    assert await host_with_port_differs(response) == difference


async def test_the_same_keys_are_no_difference() -> None:
    """Both requests reach the same homeserver."""
    (look,) = endpoint_looks(await probe_deeply(by_default_port()))
    assert look is not None
    assert look.host_with_port_differs is None


async def test_does_not_compare_if_host_contains_a_port_anyway() -> None:
    """The specification says so for a delegation with a port."""
    network = by_well_known()
    await probe_deeply(network)
    assert not [line for line in network.calls if line.endswith(keys.PATH)]


async def test_compares_for_an_ipv6_address_too() -> None:
    """The colons in its brackets are not a port."""
    network = FakeNetwork(servers={"[2001:db8::1]:8448": healthy_homeserver("[2001:db8::1]", "2001:db8::1")})
    await probe_deeply(network, "[2001:db8::1]")
    assert f"GET [2001:db8::1]:8448 [2001:db8::1]:8448{keys.PATH}" in network.calls


async def test_does_not_compare_broken_keys() -> None:
    """The probe has reported the problem already."""
    network = by_default_port()
    network.servers[AT_8448] = healthy_homeserver("other.test", "example.test")
    report = await probe_deeply(network)
    assert isinstance(report.endpoints[0].keys, Failed)
    assert not [line for line in network.calls if line.endswith(keys.PATH)]
