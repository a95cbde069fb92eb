"""The ways of homeservers that do not go where the specification says, in a network written as tables."""

from exporter.demo.https_server import json_response
from exporter.judging import peers
from exporter.model import names
from exporter.model.enums import Implementation
from exporter.model.outcomes import Failed
from exporter.model.reasons import Reason
from exporter.model.report import LocatedProblem, Report
from exporter.model.routes import Route
from exporter.probing.network import DnsFailureError
from exporter.probing.prober import Prober
from tests.fake_world import (
    FakeNetwork,
    delegating_website,
    healthy_homeserver,
    http_response,
    srv_record,
    website,
)

SYNAPSE, DENDRITE, CONDUIT = Implementation
SERVFAIL = DnsFailureError("SERVFAIL")


async def probe(network: FakeNetwork) -> Report:
    return await Prober(network, 5.0).probe(names.parse("example.test"))


def at_8448() -> FakeNetwork:
    """Return a network with example.test at port 8448 of itself, and nothing at port 443."""
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "hs.test": ("192.0.2.2",), "next.test": ("192.0.2.3",)},
        servers={"192.0.2.1:8448": healthy_homeserver("example.test", "example.test")},
    )


def targets(report: Report) -> dict[Implementation, list[str] | Reason]:
    """Return the targets of each detour, or why it ends."""
    return {
        name: list(map(str, way.route.targets)) if isinstance(way.route, Route) else way.route.problem.reason
        for name, way in report.detours.items()
    }


def who_federates(report: Report) -> set[Implementation]:
    return {name for name, verdict in peers.verdicts(report).items() if verdict.federates}


async def test_a_plain_server_has_no_detours() -> None:
    """Nothing is requested twice."""
    network = at_8448()
    report = await probe(network)
    assert (report.detours, who_federates(report)) == ({}, set(Implementation))
    assert len([line for line in network.calls if line.startswith("SRV")]) == 2
    assert len([line for line in network.calls if line.startswith("open 192.0.2.1:8448")]) == 1


async def test_a_failed_srv_lookup_ends_the_way_of_synapse() -> None:
    """The others go on to port 8448, where they are followed once."""
    network = at_8448()
    network.services["_matrix-fed._tcp.example.test"] = SERVFAIL
    report = await probe(network)
    assert targets(report) == {
        SYNAPSE: Reason.DNS_FAILURE,
        DENDRITE: ["example.test:8448"],
        CONDUIT: ["example.test:8448"],
    }
    assert who_federates(report) == {DENDRITE, CONDUIT}
    assert report.detours[DENDRITE] is report.detours[CONDUIT]
    assert len([line for line in network.calls if line.startswith("open 192.0.2.1:8448")]) == 1


async def test_a_bad_m_server_ends_the_way_of_all() -> None:
    """The specification says that they fall back."""
    network = at_8448()
    network.servers["192.0.2.1:443"] = delegating_website("example.test", "https://hs.test")
    report = await probe(network)
    assert targets(report) == dict.fromkeys(Implementation, Reason.INVALID_DELEGATION)
    assert all(isinstance(way.route, LocatedProblem) for way in report.detours.values())
    assert who_federates(report) == set()


async def test_one_srv_record_is_enough_for_the_conduit_family() -> None:
    """The others go on to the next target."""
    network = at_8448()
    records = srv_record(10, 0, 1, "hs.test"), srv_record(20, 0, 2, "next.test")
    network.services["_matrix-fed._tcp.example.test"] = records
    network.servers["192.0.2.3:2"] = healthy_homeserver("example.test", "example.test")
    report = await probe(network)
    assert targets(report) == {CONDUIT: ["hs.test:1"]}
    assert who_federates(report) == {SYNAPSE, DENDRITE}


async def test_the_srv_records_of_a_delegation_that_only_one_reads_are_looked_up() -> None:
    """Go's JSON ignores the case of keys."""
    network = at_8448()
    page = http_response(json_response({"M.Server": "hs.test"}))
    network.servers["192.0.2.1:443"] = website("example.test", page)
    network.services["_matrix-fed._tcp.hs.test"] = (srv_record(10, 0, 1, "next.test"),)
    network.servers["192.0.2.3:1"] = healthy_homeserver("example.test", "hs.test")
    report = await probe(network)
    assert targets(report) == {DENDRITE: ["next.test:1"]}
    assert who_federates(report) == set(Implementation)


async def test_an_srv_record_with_port_0_leads_nowhere() -> None:
    """Nothing is dialled, nobody falls back to port 8448, and each of them is told why."""
    network = at_8448()
    network.services["_matrix-fed._tcp.example.test"] = (srv_record(10, 5, 0, "hs.test"),)
    report = await probe(network)
    assert not [line for line in network.calls if line.startswith("open") and ":443" not in line]
    verdicts = peers.verdicts(report)
    assert [of.problem and of.problem.problem.reason for of in verdicts.values()] == [Reason.SRV_PORT_ZERO] * 3


async def test_an_invalid_delegation_names_who_copes_with_it() -> None:
    """A dot at the end of the host is no part of a server name, and two implementations drop it."""
    network = at_8448()
    network.servers["192.0.2.1:443"] = delegating_website("example.test", "hs.test.:8449")
    network.servers["192.0.2.2:8449"] = healthy_homeserver("example.test", "hs.test")
    report = await probe(network)
    assert isinstance(report.well_known, Failed)
    (problem,) = report.well_known.problems
    assert problem.detail == (
        "m.server is 'hs.test.:8449': the host ends in a dot: remove the extra dot; Dendrite and the Conduit family "
        "cope with it"
    )
    assert who_federates(report) == {DENDRITE, CONDUIT}
