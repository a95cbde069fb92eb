"""What proves that our own network is down: in a world written as tables."""

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
from tests.fake_world import SILENCE, FakeNetwork, Reaction, Server, federates
from tests.sample_reports import (
    DELEGATED,
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
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "NEXT_WITNESS_SECONDS", 0.01)
    monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 3600.0)  # one that answers is never too late


def world(host: Lookup, server: Reaction[Server], last: Reaction[Server] | None = None) -> FakeNetwork:
    """Every witness is like that; the last one may have another server."""
    hosts: dict[str, Lookup] = {witness.host: host for witness in WITNESSES}
    if isinstance(host, tuple):
        hosts = {witness.host: (f"192.0.2.{number}",) for number, witness in enumerate(WITNESSES, 1)}
    servers = dict.fromkeys(("192.0.2.1:8448", "192.0.2.2:8448", "192.0.2.3:8448"), server)
    return FakeNetwork(hosts, servers=servers | {"192.0.2.3:8448": last or server})


HEALTHY = federates("one.test", "one.test")
ADDRESSES = ("192.0.2.1",)


@pytest.mark.parametrize(
    ("network", "proven"),
    [
        pytest.param(world(ADDRESSES, SILENCE), Outage.NETWORK, id="black hole"),
        pytest.param(world(BEHIND_ALIAS, SILENCE), Outage.NETWORK, id="black hole behind an alias"),
        pytest.param(world(ADDRESSES, NO_ROUTE), Outage.NETWORK, id="no route"),
        pytest.param(world(FAILING, HEALTHY), Outage.NETWORK, id="lookups fail"),
        pytest.param(world(TIMEOUT, HEALTHY), Outage.NETWORK, id="lookups time out"),
        pytest.param(world(SILENCE, HEALTHY), Outage.NETWORK, id="lookups hang"),
        pytest.param(world(ADDRESSES, HEALTHY), None, id="well"),
        pytest.param(world(ADDRESSES, SILENCE, last=HEALTHY), None, id="one is well"),
        pytest.param(world(ADDRESSES, NO_ROUTE, last=REFUSAL), None, id="one refuses"),
        pytest.param(world(ADDRESSES, BlockedAddressError("not public")), None, id="our own policy refuses"),
        pytest.param(world(GONE, HEALTHY), None, id="no such names"),
    ],
)
async def test_nobody_answers(network: FakeNetwork, proven: Outage | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where every one of them is silent: whatever else comes back came from outside, or is no proof."""
    if proven:
        monkeypatch.setattr(connectivity, "WITNESS_SECONDS", 0.1)
    assert await find_outage(network, WITNESSES, check_dns=True) is proven


async def test_one_answer_is_enough() -> None:
    """Of the others nothing is asked, and what was opened is closed again."""
    network = world(ADDRESSES, HEALTHY)
    assert await find_outage(network, WITNESSES, check_dns=False) is None
    assert network.asked == ["addresses one.test 8448", "open 192.0.2.1:8448", "close 192.0.2.1:8448"]


async def test_next_is_asked_while_the_first_is_silent() -> None:
    """Nobody waits for the dead, where somebody is well."""
    assert await find_outage(world(ADDRESSES, SILENCE, last=HEALTHY), WITNESSES, check_dns=False) is None


async def test_no_resolver_answers() -> None:
    """That is proof without any witness, where names are to be looked up, and none to who needs no lookups."""
    network = FakeNetwork()
    network.resolver_is_up = False
    assert await find_outage(network, (), check_dns=True) is Outage.RESOLVER
    assert await find_outage(network, (), check_dns=False) is None


async def test_nothing_is_proven_without_witnesses() -> None:
    """A resolver that answers is no reason to call the network down."""
    assert await find_outage(FakeNetwork(), (), check_dns=True) is None


def failing_of(reason: Reason) -> Report:
    return with_endpoints(EndpointReport(DELEGATED, Failed(1.0, (Problem(reason, ""),))))


@pytest.mark.parametrize(
    ("report", "met"),
    [
        (failing_of(Reason.UNREACHABLE), {Reason.UNREACHABLE}),
        (failing_of(Reason.TIMEOUT), {Reason.TIMEOUT}),
        (failing_of(Reason.HTTP_TIMEOUT), {Reason.HTTP_TIMEOUT}),
        (
            replace(nothing_resolved(), dns=Failed(1.0, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),))),
            {Reason.DNS_FAILURE},
        ),
        (failing_of(Reason.CONNECT_REFUSED), set()),
        (nothing_resolved(), set()),
        (expired_certificate(), set()),
        (delegated_by_well_known(), set()),
    ],
)
def test_silence(report: Report, met: set[Reason]) -> None:
    """An answer, however bad, is none."""
    assert silent_failures(report) == met


ANSWERING, SILENT = WITNESSES[2], WITNESSES[0]


@pytest.mark.parametrize(
    ("anchors", "witnesses", "proven"),
    [
        ([], [SILENT], Outage.NETWORK),
        ([], [ANSWERING], None),
        ([ANSWERING], [SILENT], None),
        ([SILENT], [ANSWERING], Outage.NETWORK),
        ([], [], None),
    ],
)
async def test_prober_contacts_its_anchors_instead_of_the_witnesses(
    anchors: list[Target], witnesses: list[Target], proven: Outage | None
) -> None:
    """Only a prober without anchors contacts the witnesses."""
    prober = Prober(world(ADDRESSES, SILENCE, last=HEALTHY), 1.0, anchors=anchors)
    assert await prober.find_outage(witnesses, check_dns=False) is proven


@pytest.mark.parametrize(("check_dns", "proven"), [(True, Outage.RESOLVER), (False, None)])
async def test_prober_checks_the_resolver_if_asked_to(check_dns: bool, proven: Outage | None) -> None:  # noqa: FBT001
    network = world(ADDRESSES, HEALTHY)
    network.resolver_is_up = False
    assert await Prober(network, 1.0).find_outage([ANSWERING], check_dns=check_dns) is proven
