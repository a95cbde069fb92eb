"""The SRV records of both services, and which of them decides."""

import asyncio
from dataclasses import replace

import pytest

from exporter.model import routes
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import SrvService
from exporter.model.findings import Resolution, SrvRecord, SrvRecords
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.network import DnsTimeoutError
from exporter.probing.stages import srv
from exporter.probing.stages.srv import MAX_RECORDS, UNANSWERED
from tests.addresses import ip_endpoint
from tests.fake_world import FakeNetwork, Silence, srv_record

FED, LEGACY = SrvService.MATRIX_FED, SrvService.MATRIX
RECORD, OTHER, REFUSAL = srv_record(10, 5, 443, "hs.test"), srv_record(0, 0, 8448, "old.test"), srv_record(0, 0, 0, ".")
TIMED_OUT = DnsTimeoutError("no resolver answers")


async def test_looks_up_both_services_at_once() -> None:
    """A failed lookup of one does not affect the other."""
    network = FakeNetwork(services={"_matrix-fed._tcp.example.test": TIMED_OUT, "_matrix._tcp.example.test": (OTHER,)})
    assert await srv.fetch(network, "example.test") == {FED: TIMED_OUT, LEGACY: (OTHER,)}


async def test_lookups_can_be_cancelled() -> None:
    """Cancellation is not the result of a lookup."""
    silence = Silence()
    network = FakeNetwork(services={"_matrix-fed._tcp.example.test": silence})
    lookups = asyncio.create_task(srv.fetch(network, "example.test"))
    await silence.awaited.wait()
    lookups.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lookups


@pytest.mark.parametrize(
    ("fed", "legacy", "decided_by"),
    [((RECORD,), (), FED), ((RECORD,), (OTHER,), FED), ((), (OTHER,), LEGACY), ((), (), None)],
)
def test_the_first_service_with_records_decides(
    fed: tuple[SrvRecord, ...], legacy: tuple[SrvRecord, ...], decided_by: SrvService | None
) -> None:
    """The records of both are kept, because the report shows them."""
    assert srv.evaluate({FED: fed, LEGACY: legacy}) == SrvRecords({FED: fed, LEGACY: legacy}, decided_by)


def test_a_failed_lookup_decides_unless_an_earlier_service_does() -> None:
    """It fails the stage then, even if the other service has records."""
    problem = Problem(Reason.DNS_TIMEOUT, "_matrix-fed._tcp: no resolver answers")
    failed = Failure((problem,), SrvRecords({LEGACY: (OTHER,)}, FED, {FED: problem}))
    assert srv.evaluate({FED: TIMED_OUT, LEGACY: (OTHER,)}) == failed
    of_legacy = {LEGACY: replace(problem, detail="_matrix._tcp: no resolver answers")}
    assert srv.evaluate({FED: (RECORD,), LEGACY: TIMED_OUT}) == SrvRecords({FED: (RECORD,)}, FED, of_legacy)
    second = srv.evaluate({FED: (), LEGACY: TIMED_OUT})
    assert isinstance(second, Failure)
    assert second.found == SrvRecords({FED: ()}, LEGACY, of_legacy)


def test_a_refusal_ends_the_search() -> None:
    """The service is "decidedly not available" (RFC 2782): neither the other service nor port 8448 is tried."""
    expected = Failure(
        (Problem(Reason.SRV_SERVICE_UNAVAILABLE, "the target of _matrix-fed._tcp is '.'"),),
        SrvRecords({FED: (), LEGACY: (OTHER,)}, FED, unavailable=frozenset({FED})),
    )
    assert srv.evaluate({FED: (REFUSAL,), LEGACY: (OTHER,)}) == expected


def test_a_refusal_among_other_records_is_ignored() -> None:
    """There is a target that a peer can try."""
    assert srv.evaluate({FED: (REFUSAL, RECORD), LEGACY: ()}) == SrvRecords({FED: (RECORD,), LEGACY: ()}, FED)


def test_records_are_in_the_order_in_which_peers_try_them() -> None:
    """The order is by priority, then by weight, and stable for equal records."""
    first, heavy, light = (
        srv_record(10, 0, 1, "z.test"),
        srv_record(20, 60, 1, "y.test"),
        srv_record(20, 40, 1, "a.test"),
    )
    equal = srv_record(20, 40, 2, "a.test")
    found = srv.evaluate({FED: (equal, light, heavy, first), LEGACY: ()})
    assert found == SrvRecords({FED: (first, heavy, light, equal), LEGACY: ()}, FED)


def test_the_number_of_records_is_bounded() -> None:
    """No real server has more than the bound."""
    many = tuple(srv_record(priority, 0, 1, "hs.test") for priority in range(1000))
    assert srv.evaluate({FED: many, LEGACY: ()}) == SrvRecords({FED: many[:MAX_RECORDS], LEGACY: ()}, FED)


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (SKIPPED, None),
        (Passed(0.1, SrvRecords({}, None)), SrvRecords({}, None)),
        (Failed(0.1, (), SrvRecords({}, LEGACY)), SrvRecords({}, LEGACY)),
        (Failed(0.1, ()), UNANSWERED),
    ],
)
def test_a_lookup_without_any_result_decides(outcome: Outcome[SrvRecords], decision: SrvRecords | None) -> None:
    """A peer gives up then, and does not fall back to port 8448."""
    assert srv.decisive_records(outcome) == decision


# ---------------------------------------------------------------- once the targets are resolved

FOUND = Passed(0.1, SrvRecords({FED: (RECORD,)}, FED))
ENDPOINT = Endpoint(Target("hs.test", 443), ip_endpoint("192.0.2.1:443")[0])
ALIAS = Endpoint(Target("hs.test", 443), ip_endpoint("192.0.2.2:443")[0], behind_alias=True)
EMPTY = Problem(Reason.NO_ADDRESSES, "old.test has neither an A nor an AAAA record")


@pytest.mark.parametrize(
    ("resolution", "problems"),
    [
        (Resolution((ALIAS, ALIAS)), (Problem(Reason.SRV_TARGET_ALIAS, "hs.test is an alias (CNAME)"),)),
        (Resolution((ENDPOINT,), (EMPTY,)), (EMPTY,)),
        (Resolution((), (EMPTY,)), (EMPTY,)),
    ],
)
def test_a_fault_of_a_target_is_a_fault_of_its_record(resolution: Resolution, problems: tuple[Problem, ...]) -> None:
    """A target that is an alias, or has no address, fails the stage. Each alias is reported once."""
    assert srv.evaluate_targets(FOUND, resolution) == Failed(FOUND.seconds, problems, FOUND.found)


def test_nothing_can_listen_at_port_0() -> None:
    """Each target is reported once, and the others are fine."""
    nowhere = srv_record(10, 5, 0, "hs.test")
    outcome = Passed(0.1, SrvRecords({FED: (nowhere, nowhere, OTHER)}, FED))
    problem = Problem(Reason.SRV_PORT_ZERO, "the record for hs.test has port 0")
    assert srv.evaluate_targets(outcome, Resolution((ENDPOINT,))) == Failed(0.1, (problem,), outcome.found)
    assert routes.srv_targets(outcome.found) == (OTHER.target,)


@pytest.mark.parametrize("outcome", [SKIPPED, Failed(0.1, (EMPTY,)), Passed(0.1, SrvRecords({}, None))])
def test_targets_from_elsewhere_do_not_matter(outcome: Outcome[SrvRecords]) -> None:
    """The outcome stays the same if no record led to the targets, or if they have no fault."""
    assert srv.evaluate_targets(outcome, Resolution((), (EMPTY,))) is outcome
    assert srv.evaluate_targets(FOUND, Resolution((ENDPOINT,))) is FOUND
