import asyncio

import pytest

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


async def test_asks_for_both_services_at_once() -> None:
    """The failure of one does not take the answer of the other away."""
    network = FakeNetwork(services={"_matrix-fed._tcp.example.test": TIMED_OUT, "_matrix._tcp.example.test": (OTHER,)})
    assert await srv.fetch(network, "example.test") == {FED: TIMED_OUT, LEGACY: (OTHER,)}


async def test_looking_can_be_cancelled() -> None:
    """Cancellation is nothing that a lookup brought back."""
    silence = Silence()
    network = FakeNetwork(services={"_matrix-fed._tcp.example.test": silence})
    looking = asyncio.create_task(srv.fetch(network, "example.test"))
    await silence.met.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


@pytest.mark.parametrize(
    ("fed", "legacy", "decided_by"),
    [((RECORD,), (), FED), ((RECORD,), (OTHER,), FED), ((), (OTHER,), LEGACY), ((), (), None)],
)
def test_the_first_service_with_records_decides(
    fed: tuple[SrvRecord, ...], legacy: tuple[SrvRecord, ...], decided_by: SrvService | None
) -> None:
    """Both are kept, as the report shows them."""
    assert srv.evaluate({FED: fed, LEGACY: legacy}) == SrvRecords({FED: fed, LEGACY: legacy}, decided_by)


def test_a_failed_lookup_decides_where_nothing_better_came_before() -> None:
    failed = Failure(
        (Problem(Reason.DNS_TIMEOUT, "_matrix-fed._tcp: no resolver answers"),),
        SrvRecords({LEGACY: (OTHER,)}, FED),
    )
    assert srv.evaluate({FED: TIMED_OUT, LEGACY: (OTHER,)}) == failed
    assert srv.evaluate({FED: (RECORD,), LEGACY: TIMED_OUT}) == SrvRecords({FED: (RECORD,)}, FED)
    behind = srv.evaluate({FED: (), LEGACY: TIMED_OUT})
    assert isinstance(behind, Failure)
    assert behind.found == SrvRecords({FED: ()}, LEGACY)


def test_a_target_that_says_no_ends_the_search() -> None:
    """Then the service is "decidedly not available" (RFC 2782): neither the other service nor port 8448 is tried."""
    expected = Failure(
        (Problem(Reason.SRV_SERVICE_UNAVAILABLE, "the target of _matrix-fed._tcp is '.'"),),
        SrvRecords({FED: (), LEGACY: (OTHER,)}, FED),
    )
    assert srv.evaluate({FED: (REFUSAL,), LEGACY: (OTHER,)}) == expected


def test_a_target_that_says_no_beside_others_is_left_out() -> None:
    assert srv.evaluate({FED: (REFUSAL, RECORD), LEGACY: ()}) == SrvRecords({FED: (RECORD,), LEGACY: ()}, FED)


def test_the_order_is_that_in_which_peers_try() -> None:
    """By priority; within one the heaviest first, and what is alike always in the same order."""
    first, heavy, light = (
        srv_record(10, 0, 1, "z.test"),
        srv_record(20, 60, 1, "y.test"),
        srv_record(20, 40, 1, "a.test"),
    )
    alike = srv_record(20, 40, 2, "a.test")
    assert srv.sort_usable((alike, light, heavy, first)) == (first, heavy, light, alike)


def test_no_more_records_are_kept_than_anybody_has() -> None:
    many = tuple(srv_record(priority, 0, 1, "hs.test") for priority in range(1000))
    assert srv.sort_usable(many) == many[:MAX_RECORDS]


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (SKIPPED, None),
        (Passed(0.1, SrvRecords({}, None)), SrvRecords({}, None)),
        (Failed(0.1, (), SrvRecords({}, LEGACY)), SrvRecords({}, LEGACY)),
        (Failed(0.1, ()), UNANSWERED),
    ],
)
def test_a_peer_whose_lookup_came_to_nothing_stops(outcome: Outcome[SrvRecords], decision: SrvRecords | None) -> None:
    assert srv.decisive_records(outcome) == decision


# ---------------------------------------------------------------- once the targets are resolved

FOUND = Passed(0.1, SrvRecords({FED: (RECORD,)}, FED))
ENDPOINT = Endpoint(Target("hs.test", 443), ip_endpoint("192.0.2.1:443")[0])
ALIAS = Endpoint(Target("hs.test", 443), ip_endpoint("192.0.2.2:443")[0], behind_alias=True)
EMPTY = Problem(Reason.NO_ADDRESSES, "old.test has neither an A nor an AAAA record")


@pytest.mark.parametrize(
    ("resolved", "problems"),
    [
        (Resolution((ALIAS, ALIAS)), (Problem(Reason.SRV_TARGET_ALIAS, "hs.test is an alias (CNAME)"),)),
        (Resolution((ENDPOINT,), (EMPTY,)), (EMPTY,)),
        (Resolution((), (EMPTY,)), (EMPTY,)),
    ],
)
def test_what_is_wrong_with_a_target_is_wrong_with_its_record(
    resolved: Resolution, problems: tuple[Problem, ...]
) -> None:
    assert srv.evaluate_targets(FOUND, resolved) == Failed(FOUND.seconds, problems, FOUND.found)


@pytest.mark.parametrize("outcome", [SKIPPED, Failed(0.1, (EMPTY,)), Passed(0.1, SrvRecords({}, None))])
def test_targets_that_stand_in_no_record_are_none_of_its_business(outcome: Outcome[SrvRecords]) -> None:
    assert srv.evaluate_targets(outcome, Resolution((), (EMPTY,))) is outcome
    assert srv.evaluate_targets(FOUND, Resolution((ENDPOINT,))) is FOUND
