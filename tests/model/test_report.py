"""Reports: the order of the stages, and how an earlier deep look is carried over."""

from dataclasses import replace

import pytest

from exporter.model.enums import Stage
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, found
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, EndpointDeepLook, EndpointReport
from tests.sample_reports import (
    DEEP_LOOK_AT,
    delegated_by_well_known,
    healthy_at,
    nothing_resolved,
    with_deep_look,
    with_endpoints,
    with_outbound,
)

PROBLEM = Problem(Reason.PATH_DECODED, "the path was decoded")


def test_outcomes_come_in_the_order_of_the_stages() -> None:
    """Those of an endpoint come with it, those of the deep look with the endpoint or on their own."""
    report = replace(with_deep_look(), outbound=with_outbound().outbound)
    (endpoint,) = report.endpoints
    assert [(stage, located) for stage, located, _ in report.outcomes()] == [
        (Stage.WELL_KNOWN, None),
        (Stage.SRV, None),
        (Stage.DNS, None),
        (Stage.TCP, endpoint.endpoint),
        (Stage.TLS, endpoint.endpoint),
        (Stage.VERSION, endpoint.endpoint),
        (Stage.KEYS, endpoint.endpoint),
        (Stage.PROXY, endpoint.endpoint),
        (Stage.NOTARY, None),
        (Stage.OUTBOUND, None),
    ]
    assert {stage for stage, _, _ in report.outcomes()} == set(Stage) - {Stage.TUNNEL}
    assert [outcome for _, _, outcome in report.outcomes()][3:7] == [
        endpoint.tcp,
        endpoint.tls,
        endpoint.version,
        endpoint.keys,
    ]


def test_a_tunnel_takes_the_place_of_tcp() -> None:
    """An endpoint has either one. Whether it accepts connections follows from that."""
    (direct,) = with_deep_look().endpoints
    proxied = replace(direct, tcp=SKIPPED, tunnel=Passed(0.1, "proxy.test:3128"))
    refused = replace(proxied, tunnel=Failed(0.1, (Problem(Reason.TUNNEL_FAILED, "answers 503"),)))
    of_endpoint = [Stage.TLS, Stage.VERSION, Stage.KEYS, Stage.PROXY]
    assert [stage for stage, _ in proxied.outcomes()] == [Stage.TUNNEL, *of_endpoint]
    assert [each.accepts for each in (direct, proxied, refused)] == [True, True, False]
    assert [each.ok for each in (direct, proxied, refused)] == [True, True, False]


def test_without_a_deep_look_its_stages_are_missing() -> None:
    """They are not skipped: it is unknown what they would have found."""
    assert [stage for stage, _, _ in nothing_resolved().outcomes()] == [Stage.WELL_KNOWN, Stage.SRV, Stage.DNS]
    assert {Stage.PROXY, Stage.NOTARY}.isdisjoint({stage for stage, _, _ in delegated_by_well_known().outcomes()})


@pytest.mark.parametrize(
    ("endpoint", "ok"),
    [
        (healthy_at("192.0.2.1"), True),
        (replace(healthy_at("192.0.2.1"), tcp=Failed(0.1, (PROBLEM,))), False),
        (replace(healthy_at("192.0.2.1"), version=SKIPPED), False),
        (replace(healthy_at("192.0.2.1"), deep=EndpointDeepLook(Failed(0.1, (PROBLEM,)))), True),
    ],
)
def test_an_endpoint_is_ok_if_it_passed_every_stage_of_the_probe(endpoint: EndpointReport, *, ok: bool) -> None:
    """The deep look does not count."""
    assert endpoint.ok is ok


def test_an_earlier_deep_look_is_carried_over() -> None:
    """Endpoints that are new have none."""
    earlier = with_deep_look(PROBLEM)
    (old,) = earlier.endpoints
    later = with_endpoints(healthy_at("192.0.2.1"), healthy_at("192.0.2.2"))
    merged = later.with_looks_from(earlier)
    assert merged.deep == earlier.deep
    assert [endpoint.deep for endpoint in merged.endpoints] == [old.deep, None]
    assert replace(merged, deep=None, endpoints=later.endpoints) == later


def test_a_deep_look_replaces_an_earlier_one() -> None:
    """A report that has one keeps it, and one without an earlier report stays as it is."""
    newer = replace(with_deep_look(), deep=DeepLook(DEEP_LOOK_AT, {}, None))
    assert newer.with_looks_from(with_deep_look(PROBLEM)) is newer
    report = delegated_by_well_known()
    assert report.with_looks_from(None) is report
    assert report.with_looks_from(delegated_by_well_known()) is report


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(Passed(0.1, 42), 42), (Failed(0.1, (PROBLEM,), 42), 42), (Failed(0.1, (PROBLEM,)), None), (SKIPPED, None)],
)
def test_a_failure_may_have_found_something(outcome: Outcome[int], expected: int | None) -> None:
    """What a step found does not depend on whether it passed."""
    assert found(outcome) == expected


def test_timings_are_unreliable_after_a_stall() -> None:
    """Any stall counts."""
    assert not delegated_by_well_known().timings_unreliable
    assert replace(delegated_by_well_known(), stalled_seconds=0.001).timings_unreliable


def test_the_look_at_the_other_direction_is_kept_until_there_is_another() -> None:
    """It is made more rarely than a probe, and independent of deep looks."""
    earlier, report = with_outbound(), delegated_by_well_known()
    kept = report.with_looks_from(earlier)
    assert kept == replace(report, outbound=earlier.outbound)
    newer = with_outbound(Problem(Reason.OUTBOUND_UNREACHABLE, "nothing came"))
    assert newer.with_looks_from(earlier) is newer
    assert kept.with_looks_from(with_deep_look()).outbound == earlier.outbound
