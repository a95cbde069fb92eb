"""What proves that the exporter's own network is down, in a network written as tables."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.model.addresses import Target
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing import connectivity
from exporter.probing.connectivity import Outage, find_outage, silent_failures
from exporter.probing.evidence import Addresses
from exporter.probing.network import BlockedAddressError, DnsFailureError, DnsTimeoutError
from exporter.probing.prober import Prober
from tests.fake_world import SILENCE, FakeNetwork, Reaction, Server, healthy_homeserver
from tests.sample_reports import (
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    nothing_resolved,
    with_endpoints,
)

WITNESSES = tuple(Target(f"{label}.test", 8448) for label in ("one", "two", "three"))
NO_ROUTE = OSError(errno.ENETUNREACH, "Network is unreachable")
REFUSAL = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
FAILING = Addresses("", (), failures=(DnsFailureError("nonsense"),))
TIMEOUT = Addresses("", (), failures=(DnsTimeoutError("no resolver answers"),))
GONE = Addresses("", (), exists=False)
BEHIND_ALIAS = Addresses("alias.test", (ip_address("192.0.2.1"),))

Lookup = tuple[str, ...] | Reaction[Addresses]


@pytest.fixture(autouse=True)
def _timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "NEXT_WITNESS_SECONDS", 0.01)
    monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 3600.0)  # a witness that answers is never too late


def witness_network(host: Lookup, server: Reaction[Server], last: Reaction[Server] | None = None) -> FakeNetwork:
    """Return a network in which all witnesses are alike, except that the last one may have another server."""
    hosts: dict[str, Lookup] = {witness.host: host for witness in WITNESSES}
    if isinstance(host, tuple):
        hosts = {witness.host: (f"192.0.2.{number}",) for number, witness in enumerate(WITNESSES, 1)}
    servers = dict.fromkeys(("192.0.2.1:8448", "192.0.2.2:8448", "192.0.2.3:8448"), server)
    return FakeNetwork(hosts, servers=servers | {"192.0.2.3:8448": last or server})


HEALTHY = healthy_homeserver("one.test", "one.test")
ADDRESSES = ("192.0.2.1",)


@pytest.mark.parametrize(
    ("network", "outage"),
    [
        pytest.param(witness_network(ADDRESSES, SILENCE), Outage.NETWORK, id="black hole"),
        pytest.param(witness_network(BEHIND_ALIAS, SILENCE), Outage.NETWORK, id="black hole behind an alias"),
        pytest.param(witness_network(ADDRESSES, NO_ROUTE), Outage.NETWORK, id="no route"),
        pytest.param(witness_network(FAILING, HEALTHY), Outage.NETWORK, id="lookups fail"),
        pytest.param(witness_network(TIMEOUT, HEALTHY), Outage.NETWORK, id="lookups time out"),
        pytest.param(witness_network(SILENCE, HEALTHY), Outage.NETWORK, id="lookups hang"),
        pytest.param(witness_network(ADDRESSES, HEALTHY), None, id="all healthy"),
        pytest.param(witness_network(ADDRESSES, SILENCE, last=HEALTHY), None, id="one healthy"),
        pytest.param(witness_network(ADDRESSES, NO_ROUTE, last=REFUSAL), None, id="one refuses"),
        pytest.param(
            witness_network(ADDRESSES, BlockedAddressError("not public")), None, id="blocked by our own policy"
        ),
        pytest.param(witness_network(GONE, HEALTHY), None, id="no such names"),
    ],
)
async def test_silence_of_all_witnesses_is_an_outage(
    network: FakeNetwork, outage: Outage | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything that comes back came from outside, or at least proves nothing."""
    if outage:
        monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 0.1)
    assert await find_outage(network, WITNESSES, check_dns=True) is outage


async def test_one_answer_is_enough() -> None:
    """No other witness is contacted, and the connection is closed again."""
    network = witness_network(ADDRESSES, HEALTHY)
    assert await find_outage(network, WITNESSES, check_dns=False) is None
    assert network.calls == ["addresses one.test 8448", "open 192.0.2.1:8448", "close 192.0.2.1:8448"]


async def test_the_next_witness_is_contacted_while_the_first_is_silent() -> None:
    """A silent witness does not delay the answer of a healthy one."""
    network = witness_network(ADDRESSES, SILENCE, last=HEALTHY)
    assert await find_outage(network, WITNESSES, check_dns=False) is None


async def test_silent_resolvers_are_an_outage_if_lookups_fail() -> None:
    """No witness is needed then. To an exporter that needs no lookups, they prove nothing."""
    network = FakeNetwork()
    network.resolver_is_up = False
    assert await find_outage(network, (), check_dns=True) is Outage.RESOLVER
    assert await find_outage(network, (), check_dns=False) is None


async def test_nothing_is_proven_without_witnesses() -> None:
    """A resolver that responds proves that the network is up."""
    assert await find_outage(FakeNetwork(), (), check_dns=True) is None


def failed_with(reason: Reason) -> Report:
    return with_endpoints(EndpointReport(MATRIX_ENDPOINT, Failed(1.0, (Problem(reason, ""),))))


@pytest.mark.parametrize(
    ("report", "reasons"),
    [
        (failed_with(Reason.UNREACHABLE), {Reason.UNREACHABLE}),
        (failed_with(Reason.TIMEOUT), {Reason.TIMEOUT}),
        (failed_with(Reason.HTTP_TIMEOUT), {Reason.HTTP_TIMEOUT}),
        (
            replace(nothing_resolved(), dns=Failed(1.0, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),))),
            {Reason.DNS_FAILURE},
        ),
        (failed_with(Reason.TUNNEL_FAILED), {Reason.TUNNEL_FAILED}),
        (failed_with(Reason.PROXY_FORBIDDEN), set()),
        (failed_with(Reason.CONNECT_REFUSED), set()),
        (nothing_resolved(), set()),
        (expired_certificate(), set()),
        (delegated_by_well_known(), set()),
    ],
)
def test_silent_failures(report: Report, reasons: set[Reason]) -> None:
    """An answer is not silence, no matter how bad it is."""
    assert silent_failures(report) == reasons


ANSWERING, SILENT = WITNESSES[2], WITNESSES[0]


@pytest.mark.parametrize(
    ("anchors", "witnesses", "outage"),
    [
        ([], [SILENT], Outage.NETWORK),
        ([], [ANSWERING], None),
        ([ANSWERING], [SILENT], None),
        ([SILENT], [ANSWERING], Outage.NETWORK),
        ([], [], None),
    ],
)
async def test_a_prober_contacts_its_anchors_instead_of_the_witnesses(
    anchors: list[Target], witnesses: list[Target], outage: Outage | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a prober without anchors contacts the witnesses."""
    if outage:
        monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 0.1)
    prober = Prober(witness_network(ADDRESSES, SILENCE, last=HEALTHY), 1.0, anchors=anchors)
    assert await prober.find_outage(witnesses, check_dns=False) is outage


@pytest.mark.parametrize(("check_dns", "outage"), [(True, Outage.RESOLVER), (False, None)])
async def test_a_prober_checks_the_resolver_if_lookups_fail(*, check_dns: bool, outage: Outage | None) -> None:
    """Its caller knows whether they do."""
    network = witness_network(ADDRESSES, HEALTHY)
    network.resolver_is_up = False
    assert await Prober(network, 1.0).find_outage([ANSWERING], check_dns=check_dns) is outage
