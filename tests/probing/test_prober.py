"""Whole probes, in a world written as tables."""

import asyncio
from dataclasses import replace

import pytest

from exporter.judging import verdict
from exporter.model import names
from exporter.model.enums import Method, Stage
from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Passed
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
    delegates,
    federates,
    most_talks,
    srv_record,
    website,
)

LONG = 5.0  # seconds for a probe that never waits
SHORT = 0.3  # for one that does


async def probe(network: FakeNetwork, server_name: str = "example.test", within: float = LONG) -> Report:
    return await Prober(network, within).probe(names.parse(server_name))


def problems(report: Report) -> list[tuple[Stage, Reason]]:
    return [(located.stage, located.problem.reason) for located in verdict.problems(report)]


@pytest.fixture
def delegated() -> FakeNetwork:
    """example.test, delegated by well-known to a host with two addresses."""
    homeserver = federates("example.test", "hs.example.test")
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "hs.example.test": ("192.0.2.2", "2001:db8::2")},
        servers={
            "192.0.2.1:443": delegates("example.test", "hs.example.test:8449"),
            "192.0.2.2:8449": homeserver,
            "[2001:db8::2]:8449": homeserver,
        },
    )


async def test_finds_a_healthy_server_healthy(delegated: FakeNetwork) -> None:
    report = await probe(delegated)
    assert (report.route.method, problems(report), verdict.federates(report)) == (Method.WELL_KNOWN_PORT, [], True)
    assert verdict.software(report) == Software("Synapse", "1.163.2")


async def test_asks_for_each_thing_once_and_in_order(delegated: FakeNetwork) -> None:
    """One connection to each endpoint serves all of its stages; the address that was resolved is the one dialled."""
    del delegated.servers["[2001:db8::2]:8449"]
    delegated.hosts["hs.example.test"] = ("192.0.2.2",)
    await probe(delegated)
    assert delegated.asked == [
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


async def test_examines_every_endpoint_over_one_connection_of_its_own(delegated: FakeNetwork) -> None:
    await probe(delegated)
    for place in ("192.0.2.2:8449", "[2001:db8::2]:8449"):
        steps = [line.split()[0] for line in delegated.asked if place in line]
        assert steps == ["open", "TLS", "GET", "GET", "close"]


@pytest.mark.parametrize(
    ("server_name", "hosts", "asked"),
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
async def test_asks_for_nothing_that_the_name_settles(
    server_name: str, hosts: dict[str, tuple[str, ...]], asked: list[str]
) -> None:
    """An IP literal is never looked up, and neither it nor a port leaves anything to well-known or SRV."""
    network = FakeNetwork(hosts=hosts)
    report = await probe(network, server_name)
    assert (network.asked, problems(report)) == (asked, [(Stage.TCP, Reason.CONNECT_REFUSED)])
    assert (report.well_known, report.srv) == (SKIPPED, SKIPPED)


async def test_asks_for_the_fallback_after_well_known_and_srv() -> None:
    """The host is looked up for each of its two ports: the stages are timed, and may be redirected, on their own."""
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)}, servers={"192.0.2.1:8448": federates("example.test", "example.test")}
    )
    report = await probe(network)
    assert network.asked[:7] == [
        "addresses example.test 443",
        "open 192.0.2.1:443",
        "close 192.0.2.1:443",
        "SRV _matrix-fed._tcp.example.test",
        "SRV _matrix._tcp.example.test",
        "addresses example.test 8448",
        "open 192.0.2.1:8448",
    ]
    assert (report.route.method, verdict.federates(report)) == (Method.DEFAULT_8448, True)


async def test_speaks_to_srv_targets_under_the_name_of_the_server() -> None:
    network = FakeNetwork(
        hosts={"hs.test": ("192.0.2.2",)},
        services={"_matrix-fed._tcp.example.test": (srv_record(10, 5, 8450, "hs.test"),)},
        servers={"192.0.2.2:8450": federates("example.test", "example.test")},
    )
    report = await probe(network)
    assert verdict.federates(report)
    assert "TLS 192.0.2.2:8450 example.test" in network.asked
    assert f"GET 192.0.2.2:8450 example.test{version.PATH}" in network.asked


async def test_times_each_stage_by_the_clock_of_its_connection(delegated: FakeNetwork) -> None:
    report = await probe(delegated)
    assert report.endpoints
    for endpoint in report.endpoints:
        seconds = [outcome.seconds for _, outcome in endpoint.outcomes() if isinstance(outcome, Passed)]
        assert seconds == pytest.approx([OPEN_SECONDS, TLS_SECONDS, GET_SECONDS, GET_SECONDS])


async def test_goes_no_further_over_a_bad_certificate(delegated: FakeNetwork) -> None:
    """Its facts are kept, and nothing is asked over that connection."""
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
    assert not any("GET 192.0.2.2:8449" in line for line in delegated.asked)


async def test_asks_for_the_keys_even_where_the_version_is_missing(delegated: FakeNetwork) -> None:
    """Each of the two tells something."""
    healthy = delegated.servers["192.0.2.2:8449"]
    assert isinstance(healthy, Server)
    without_version = replace(healthy, pages={keys.PATH: healthy.pages[keys.PATH]})
    delegated.servers["192.0.2.2:8449"] = delegated.servers["[2001:db8::2]:8449"] = without_version
    report = await probe(delegated)
    assert problems(report) == [(Stage.VERSION, Reason.HTTP_STATUS)] * 2
    assert all(isinstance(endpoint.keys, Passed) for endpoint in report.endpoints)


async def test_goes_on_after_a_broken_well_known() -> None:
    """As the specification says; the problem is told all the same, and the server still federates."""
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)},
        servers={
            "192.0.2.1:443": website("example.test", ConnectionResetError(104, "Connection reset by peer")),
            "192.0.2.1:8448": federates("example.test", "example.test"),
        },
    )
    report = await probe(network)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.HTTP_PROTOCOL)]
    assert verdict.federates(report)


async def test_does_not_go_on_after_a_broken_delegation(delegated: FakeNetwork) -> None:
    """A valid well-known is the last word, even where it leads to nothing."""
    del delegated.hosts["hs.example.test"]
    report = await probe(delegated)
    assert (report.route.method, problems(report)) == (Method.WELL_KNOWN_PORT, [(Stage.DNS, Reason.NXDOMAIN)])
    assert report.endpoints == ()


@pytest.mark.parametrize("server_name", ["256.1.1.1", "xn--a.test", "1.2.3.4.5", f"{'a' * 64}.test"])
async def test_survives_names_that_lead_nowhere(server_name: str) -> None:
    """Names that the grammar admits, and that URL libraries or DNS stumble over."""
    report = await probe(FakeNetwork(), server_name)
    assert (report.route.method, problems(report)) == (Method.DEFAULT_8448, [(Stage.DNS, Reason.NXDOMAIN)])


# ---------------------------------------------------------------- time


async def test_a_silent_well_known_leaves_time_for_what_follows() -> None:
    network = FakeNetwork(
        hosts={"example.test": ("192.0.2.1",)},
        servers={"192.0.2.1:443": SILENCE, "192.0.2.1:8448": federates("example.test", "example.test")},
    )
    report = await probe(network, within=SHORT)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT)]
    assert verdict.federates(report)
    assert SHORT / 4 < verdict.stages(report)[Stage.WELL_KNOWN].seconds < SHORT


@pytest.mark.parametrize(
    ("server", "stage", "reason"),
    [
        (SILENCE, Stage.TCP, Reason.CONNECT_TIMEOUT),
        (Server(SILENCE), Stage.TLS, Reason.TLS_TIMEOUT),
        (
            replace(federates("192.0.2.1", "192.0.2.1"), pages={version.PATH: SILENCE, keys.PATH: SILENCE}),
            Stage.VERSION,
            Reason.HTTP_TIMEOUT,
        ),
    ],
    ids=["open", "tls", "get"],
)
async def test_silence_is_named_by_the_step_that_met_it(server: Server, stage: Stage, reason: Reason) -> None:
    report = await probe(FakeNetwork(servers={"192.0.2.1:8448": server}), "192.0.2.1", SHORT)
    assert problems(report)[0] == (stage, reason)


async def test_asks_nothing_more_after_a_silent_dns() -> None:
    network = FakeNetwork(hosts={"example.test": SILENCE}, services={"_matrix-fed._tcp.example.test": SILENCE})
    report = await probe(network, within=SHORT)
    assert problems(report) == [(Stage.WELL_KNOWN, Reason.DNS_TIMEOUT), (Stage.SRV, Reason.DNS_TIMEOUT)]
    assert (report.dns, report.endpoints) == (SKIPPED, ())


async def test_says_so_where_the_time_of_the_whole_probe_ran_out() -> None:
    """Three silent steps of a third each: the last one is ended by the probe, and not by its own deadline."""
    silent = replace(federates("example.test", "example.test"), pages={version.PATH: SILENCE, keys.PATH: SILENCE})
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


async def test_talks_to_few_endpoints_at_once_and_dials_the_others_meanwhile() -> None:
    """TLS takes memory; a TCP connection that nobody answers would hold up all others."""
    addresses = [f"192.0.2.{number}" for number in range(1, 6)]
    silent = {f"{address}:8448": Server(SILENCE) for address in addresses}
    network = FakeNetwork(hosts={"example.test": tuple(addresses)}, servers=silent)
    report = await probe(network, "example.test:8448", SHORT)
    assert [type(endpoint.tcp) for endpoint in report.endpoints] == [Passed] * 5
    assert most_talks(network.asked) == MAX_TLS_SESSIONS


async def test_cancelling_a_probe_ends_it_and_closes_its_connections() -> None:
    silence = Silence()
    network = FakeNetwork(servers={"192.0.2.1:8448": Server(silence)})
    running = asyncio.create_task(probe(network, "192.0.2.1"))
    await silence.met.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert network.asked[-1] == "close 192.0.2.1:8448"


async def test_a_chain_that_nobody_can_read_is_invalid() -> None:
    report = await probe(FakeNetwork(servers={"192.0.2.1:8448": Server(Handshake((), (), "TLSv1.3"))}), "192.0.2.1")
    assert problems(report) == [(Stage.TLS, Reason.CERTIFICATE_INVALID)]


@pytest.mark.parametrize("meanwhile", [0.0, 0.25])
async def test_says_for_how_long_the_event_loop_stood_still(meanwhile: float, delegated: FakeNetwork) -> None:
    """During the probe, not before it: the durations are spoiled then."""
    told = iter((3.0, 3.0 + meanwhile))
    report = await Prober(delegated, LONG, stalled_seconds=lambda: next(told)).probe(names.parse("example.test"))
    assert (report.stalled_seconds, report.timings_unreliable) == (meanwhile, bool(meanwhile))
