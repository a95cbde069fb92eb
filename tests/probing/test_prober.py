"""Whole probes, in a network written as tables."""

import asyncio
from dataclasses import replace

import pytest

from exporter.judging import verdict
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing.deep_look import MAX_TLS_SESSIONS
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.prober import Prober
from exporter.probing.stages import keys, version
from tests.certificates import handshake
from tests.fake_world import (
    GET_SECONDS,
    OPEN_SECONDS,
    SILENCE,
    TLS_SECONDS,
    FakeNetwork,
    Server,
    Silence,
    delegating_website,
    healthy_homeserver,
    max_tls_sessions,
    srv_record,
    website,
)

LONG = 5.0  # seconds, for servers that respond at once
SHORT = 0.9  # for servers that are silent


async def probe(network: FakeNetwork, server_name: str = "example.test", within: float = LONG) -> Report:
    return await Prober(network, within).probe(names.parse(server_name))


def problems(report: Report) -> list[tuple[Stage, Reason]]:
    return [(located.stage, located.problem.reason) for located in verdict.problems(report)]


@pytest.fixture
def delegated() -> FakeNetwork:
    """Return a network with example.test, which a well-known delegates to a host with two addresses."""
    homeserver = healthy_homeserver("example.test", "hs.example.test")
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "hs.example.test": ("192.0.2.2", "2001:db8::2")},
        servers={
            "192.0.2.1:443": delegating_website("example.test", "hs.example.test:8449"),
            "192.0.2.2:8449": homeserver,
            "[2001:db8::2]:8449": homeserver,
        },
    )


async def test_a_healthy_server_federates(delegated: FakeNetwork) -> None:
    """It has no problem, and reports its software."""
    report = await probe(delegated)
    assert (report.route.method, problems(report), verdict.federates(report)) == (Method.WELL_KNOWN_PORT, [], True)
    assert verdict.software(report) == Software("Synapse", "1.163.2")


async def test_sends_each_request_once_and_in_order(delegated: FakeNetwork) -> None:
    """One connection serves all stages of an endpoint. The address that was resolved is the one that is dialled."""
    del delegated.servers["[2001:db8::2]:8449"]
    delegated.hosts["hs.example.test"] = ("192.0.2.2",)
    await probe(delegated)
    assert delegated.calls == [
        "addresses example.test 443",
        "open 192.0.2.1:443",
        "TLS 192.0.2.1:443 example.test",
        "GET 192.0.2.1:443 example.test/.well-known/matrix/server",
        "close 192.0.2.1:443",
        "addresses hs.example.test 8449",
        "open 192.0.2.2:8449",
        "TLS 192.0.2.2:8449 hs.example.test",
        "GET 192.0.2.2:8449 hs.example.test:8449/_matrix/federation/v1/version",
        "GET 192.0.2.2:8449 hs.example.test:8449/_matrix/key/v2/server",
        "close 192.0.2.2:8449",
    ]


async def test_every_endpoint_has_one_connection_of_its_own(delegated: FakeNetwork) -> None:
    """All of its stages use it."""
    await probe(delegated)
    for address in ("192.0.2.2:8449", "[2001:db8::2]:8449"):
        steps = [line.split()[0] for line in delegated.calls if address in line]
        assert steps == ["open", "TLS", "GET", "GET", "close"]


@pytest.mark.parametrize(
    ("server_name", "hosts", "calls"),
    [
        ("192.0.2.2", {}, ["open 192.0.2.2:8448", "close 192.0.2.2:8448"]),
        ("[2001:db8::2]:1", {}, ["open [2001:db8::2]:1", "close [2001:db8::2]:1"]),
        (
            "example.test:8449",
            {"example.test": ("192.0.2.2",)},
            ["addresses example.test 8449", "open 192.0.2.2:8449", "close 192.0.2.2:8449"],
        ),
    ],
)
async def test_an_address_or_port_skips_well_known_and_srv(
    server_name: str, hosts: dict[str, tuple[str, ...]], calls: list[str]
) -> None:
    """An IP literal is not even looked up."""
    network = FakeNetwork(hosts=hosts)
    report = await probe(network, server_name)
    assert (network.calls, problems(report)) == (calls, [(Stage.TCP, Reason.CONNECT_REFUSED)])
    assert (report.well_known, report.srv) == (SKIPPED, SKIPPED)


async def test_falls_back_to_port_8448_after_well_known_and_srv() -> None:
    """The host is looked up once for each port, as stages are timed, and may be redirected, separately."""
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)},
        servers={"192.0.2.1:8448": healthy_homeserver("example.test", "example.test")},
    )
    report = await probe(network)
    assert network.calls[:7] == [
        "addresses example.test 443",
        "open 192.0.2.1:443",
        "close 192.0.2.1:443",
        "SRV _matrix-fed._tcp.example.test",
        "SRV _matrix._tcp.example.test",
        "addresses example.test 8448",
        "open 192.0.2.1:8448",
    ]
    assert (report.route.method, verdict.federates(report)) == (Method.DEFAULT_8448, True)


async def test_sends_the_server_name_to_srv_targets() -> None:
    """SNI and `Host` are those of the server name, not of the target."""
    network = FakeNetwork(
        hosts={"hs.test": ("192.0.2.2",)},
        services={"_matrix-fed._tcp.example.test": (srv_record(10, 5, 8450, "hs.test"),)},
        servers={"192.0.2.2:8450": healthy_homeserver("example.test", "example.test")},
    )
    report = await probe(network)
    assert verdict.federates(report)
    assert "TLS 192.0.2.2:8450 example.test" in network.calls
    assert f"GET 192.0.2.2:8450 example.test{version.PATH}" in network.calls


async def test_times_each_stage_by_the_clock_of_its_connection(delegated: FakeNetwork) -> None:
    """That clock only counts the time spent waiting for the server."""
    report = await probe(delegated)
    assert report.endpoints
    for endpoint in report.endpoints:
        seconds = [outcome.seconds for _, outcome in endpoint.outcomes() if isinstance(outcome, Passed)]
        assert seconds == pytest.approx([OPEN_SECONDS, TLS_SECONDS, GET_SECONDS, GET_SECONDS])


async def test_sends_nothing_over_a_bad_certificate(delegated: FakeNetwork) -> None:
    """What is known about the certificate is kept."""
    healthy = delegated.servers["192.0.2.2:8449"]
    assert isinstance(healthy, Server)
    expired = handshake("hs.example.test", errors=[VerifyError(10, 0)])
    delegated.servers["192.0.2.2:8449"] = replace(healthy, handshake=expired)
    report = await probe(delegated)
    broken = report.endpoints[0]
    assert problems(report) == [(Stage.TLS, Reason.CERTIFICATE_EXPIRED)]
    assert isinstance(broken.tls, Failed)
    assert broken.tls.found is not None
    assert (broken.version, broken.keys) == (SKIPPED, SKIPPED)
    assert verdict.federates(report)
    assert not any("GET 192.0.2.2:8449" in line for line in delegated.calls)


async def test_requests_the_keys_even_if_the_version_is_missing(delegated: FakeNetwork) -> None:
    """Each of the two says something of its own."""
    healthy = delegated.servers["192.0.2.2:8449"]
    assert isinstance(healthy, Server)
    without_version = replace(healthy, pages={keys.PATH: healthy.pages[keys.PATH]})
    delegated.servers["192.0.2.2:8449"] = delegated.servers["[2001:db8::2]:8449"] = without_version
    report = await probe(delegated)
    assert problems(report) == [(Stage.VERSION, Reason.HTTP_STATUS)] * 2
    assert all(isinstance(endpoint.keys, Passed) for endpoint in report.endpoints)


async def test_endpoints_share_one_document(delegated: FakeNetwork) -> None:
    """A server may have many endpoints, and there may be 20,000 servers."""
    published = [found(endpoint.keys) for endpoint in (await probe(delegated)).endpoints]
    first, second = (keys.document for keys in published if keys)
    assert first
    assert first is second


async def test_continues_after_a_broken_well_known() -> None:
    """The specification says so. The problem is reported, and the server still federates."""
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)},
        servers={
            "192.0.2.1:443": website("example.test", ConnectionResetError(104, "Connection reset by peer")),
            "192.0.2.1:8448": healthy_homeserver("example.test", "example.test"),
        },
    )
    report = await probe(network)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.HTTP_PROTOCOL)]
    assert verdict.federates(report)


async def test_does_not_continue_after_a_delegation_that_leads_nowhere(delegated: FakeNetwork) -> None:
    """A valid well-known is final, even if its host does not exist."""
    del delegated.hosts["hs.example.test"]
    report = await probe(delegated)
    assert (report.route.method, problems(report)) == (Method.WELL_KNOWN_PORT, [(Stage.DNS, Reason.NXDOMAIN)])
    assert report.endpoints == ()


@pytest.mark.parametrize("server_name", ["256.1.1.1", "xn--a.test", "1.2.3.4.5", f"{'a' * 64}.test"])
async def test_survives_names_that_lead_nowhere(server_name: str) -> None:
    """The grammar allows these names, but URL libraries or DNS do not."""
    report = await probe(FakeNetwork(), server_name)
    assert (report.route.method, problems(report)) == (Method.DEFAULT_8448, [(Stage.DNS, Reason.NXDOMAIN)])


# ---------------------------------------------------------------- time


@pytest.mark.silence
async def test_a_silent_well_known_leaves_time_for_later_stages() -> None:
    """It gets a share of the probe's time."""
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)},
        servers={"192.0.2.1:443": SILENCE, "192.0.2.1:8448": healthy_homeserver("example.test", "example.test")},
    )
    report = await probe(network, within=SHORT)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT)]
    assert verdict.federates(report)
    assert SHORT / 4 < verdict.stages(report)[Stage.WELL_KNOWN].seconds < SHORT


@pytest.mark.silence
@pytest.mark.parametrize(
    ("server", "stage", "reason"),
    [
        (SILENCE, Stage.TCP, Reason.CONNECT_TIMEOUT),
        (Server(SILENCE), Stage.TLS, Reason.TLS_TIMEOUT),
        (
            replace(healthy_homeserver("192.0.2.1", "192.0.2.1"), pages={version.PATH: SILENCE, keys.PATH: SILENCE}),
            Stage.VERSION,
            Reason.HTTP_TIMEOUT,
        ),
    ],
    ids=["open", "tls", "get"],
)
async def test_silence_fails_the_stage_in_which_it_occurs(server: Server, stage: Stage, reason: Reason) -> None:
    """The reason says which step timed out."""
    report = await probe(FakeNetwork(servers={"192.0.2.1:8448": server}), "192.0.2.1", SHORT)
    assert problems(report)[0] == (stage, reason)


@pytest.mark.silence
async def test_silent_dns_ends_the_probe() -> None:
    """There is no target to resolve."""
    network = FakeNetwork(hosts={"example.test": SILENCE}, services={"_matrix-fed._tcp.example.test": SILENCE})
    report = await probe(network, within=SHORT)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.DNS_TIMEOUT), (Stage.SRV, Reason.DNS_TIMEOUT)]
    assert (report.dns, report.endpoints) == (SKIPPED, ())


@pytest.mark.silence
async def test_reports_that_the_time_of_the_whole_probe_ran_out() -> None:
    """Each of three silent steps takes a third, so the probe ends before the last one reaches its own deadline."""
    silent = replace(
        healthy_homeserver("example.test", "example.test"), pages={version.PATH: SILENCE, keys.PATH: SILENCE}
    )
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)}, servers={"192.0.2.1:443": SILENCE, "192.0.2.1:8448": silent}
    )
    report = await probe(network, within=SHORT)
    assert problems(report) == [
        (Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT),
        (Stage.VERSION, Reason.HTTP_TIMEOUT),
        (Stage.KEYS, Reason.TIMEOUT),
    ]
    assert SHORT * 0.9 < report.seconds < SHORT * 2


@pytest.mark.silence
async def test_the_number_of_tls_sessions_is_bounded() -> None:
    """TLS takes memory. More endpoints are dialled at once, so that one that is silent does not delay the others."""
    addresses = [f"192.0.2.{number}" for number in range(1, 6)]
    silent = {f"{address}:8448": Server(SILENCE) for address in addresses}
    network = FakeNetwork(hosts={"example.test": tuple(addresses)}, servers=silent)
    report = await probe(network, "example.test:8448", SHORT)
    assert [type(endpoint.tcp) for endpoint in report.endpoints] == [Passed] * 5
    assert max_tls_sessions(network.calls) == MAX_TLS_SESSIONS


async def test_cancelling_a_probe_closes_its_connections() -> None:
    """The probe ends at once."""
    silence = Silence()
    network = FakeNetwork(servers={"192.0.2.1:8448": Server(silence)})
    running = asyncio.create_task(probe(network, "192.0.2.1"))
    await silence.awaited.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert network.calls[-1] == "close 192.0.2.1:8448"


async def test_an_empty_chain_is_invalid() -> None:
    """It cannot be parsed."""
    report = await probe(FakeNetwork(servers={"192.0.2.1:8448": Server(Handshake((), (), "TLSv1.3"))}), "192.0.2.1")
    assert problems(report) == [(Stage.TLS, Reason.CERTIFICATE_INVALID)]


@pytest.mark.parametrize("during_probe", [0.0, 0.25])
async def test_measures_how_long_the_event_loop_was_stalled(during_probe: float, delegated: FakeNetwork) -> None:
    """Only stalls during the probe count. They make its timings unreliable."""
    stalled_seconds = iter((3.0, 3.0 + during_probe))
    prober = Prober(delegated, LONG, stalled_seconds=lambda: next(stalled_seconds))
    report = await prober.probe(names.parse("example.test"))
    assert (report.stalled_seconds, report.timings_unreliable) == (during_probe, bool(during_probe))


async def test_a_deep_look_queries_the_notaries_of_the_prober(delegated: FakeNetwork) -> None:
    """It keeps the rest of the report."""
    notary = names.parse("notary.test:8448")
    prober = Prober(delegated, LONG, notaries=[notary])
    report = await prober.probe(names.parse("example.test"))
    deeper = await prober.run_deep_look(report)
    assert deeper.deep is not None
    assert [result.notary for result in deeper.deep.notaries] == [notary]
    assert (deeper.ended_at, deeper.seconds) == (report.ended_at, report.seconds)


def test_its_representation_shows_its_configuration() -> None:
    """It helps while debugging."""
    notary, anchor = names.parse("notary.test"), Target("192.0.2.9", 8448)
    shown = repr(Prober(FakeNetwork(), LONG, notaries=[notary], anchors=[anchor]))
    assert shown.startswith("<Prober: timeout 5.0 s, notaries ['notary.test'], anchors ['192.0.2.9:8448'], over ")
