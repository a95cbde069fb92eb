"""The report as JSON for other programs."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.judging.warnings import WarningName
from exporter.model.findings import CameBack, Delegation, SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import Expectations
from exporter.reports.report_json import report_json, server_state_json
from exporter.reports.server_state import ServerState
from tests.sample_reports import (
    CAME_OVER_IPV4,
    CAME_OVER_IPV6,
    DID_NOT_COME,
    ENDED_AT,
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    faults_in_deep_look,
    nothing_resolved,
    two_families,
    watched_server,
    with_families,
)

EXPECTED = Path(__file__).parent / "expected"

REPORTS: dict[str, Callable[[], Report]] = {
    "delegated_by_well_known": delegated_by_well_known,
    "expired_certificate": expired_certificate,
    "nothing_resolved": nothing_resolved,
    "two_families": two_families,
    "faults_in_deep_look": faults_in_deep_look,
}


def parsed(report: Report) -> Any:
    """Return the report as another program parses it."""
    return json.loads(json.dumps(report_json(report)))


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_expected_document(name: str) -> None:
    """The comparison includes null and empty lists."""
    assert parsed(REPORTS[name]()) == json.loads((EXPECTED / f"{name}.json").read_text())


def test_fields_have_a_fixed_order() -> None:
    """People read the document too."""
    document = report_json(delegated_by_well_known())
    assert list(document) == [
        "server_name",
        "checked_at",
        "duration_seconds",
        "federation_ok",
        "federation",
        "peers",
        "delegation",
        "stages",
        "problems",
        "warnings",
        "endpoints",
        "without_route",
        "deep_look",
        "outbound",
        "timings_unreliable",
    ]
    assert list(document["delegation"]) == [
        "method",
        "targets",
        "host_header",
        "tls_name",
        "sni",
        "well_known",
        "srv",
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (SKIPPED, None),
        (
            Passed(0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS)),
            {"outcome": "absent", "reason": "http_status", "m_server": None, "cache_seconds": 3600},
        ),
        (
            Failed(0.1, (Problem(Reason.NOT_JSON, "a page"),), Delegation(3600)),
            {"outcome": "failed", "reason": "not_json", "m_server": None, "cache_seconds": 3600},
        ),
        (
            Failed(0.1, (Problem(Reason.TIMEOUT, "too late"),)),
            {"outcome": "failed", "reason": "timeout", "m_server": None, "cache_seconds": None},
        ),
    ],
)
def test_a_well_known_is_valid_absent_failed_or_not_requested(outcome: Any, expected: object) -> None:
    """An absent well-known has a reason too."""
    report = replace(delegated_by_well_known(), well_known=outcome)
    assert parsed(report)["delegation"]["well_known"] == expected


@pytest.mark.parametrize(("ipv6", "ok"), [(CAME_OVER_IPV6, True), (DID_NOT_COME, False), (SKIPPED, None)])
def test_the_other_direction_has_a_result_for_each_ip_family(ipv6: Outcome[CameBack], ok: object) -> None:
    """None of them decides whether the server federates."""
    document = parsed(with_families(delegated_by_well_known(), CAME_OVER_IPV4, ipv6))
    assert document["outbound"]["by_family"] == {"ipv4": True, "ipv6": ok}
    assert (document["outbound"]["ok"], document["federation"]) == (True, "full")


def test_durations_are_rounded_to_microseconds() -> None:
    """More digits have no meaning."""
    report = replace(nothing_resolved(), seconds=0.123456789, well_known=Passed(1e-9, Delegation(3600)))
    document = parsed(report)
    assert document["duration_seconds"] == 0.123457
    assert document["stages"][0] == {"stage": "well_known", "ok": True, "duration_seconds": 0.0}


def test_every_warning_has_a_remedy() -> None:
    """A remedy is a sentence."""
    assert all(warning.remedy.endswith(".") for warning in WarningName)


def test_a_state_has_the_history_besides_the_report() -> None:
    """The newest results are first, and failures are listed separately too."""
    state = ServerState(watched_server("example.org", labels=(("env", "prod"), ("team", "chat")), group="ours"))
    failed = replace(expired_certificate(), ended_at=ENDED_AT - timedelta(minutes=5))
    for report in (failed, delegated_by_well_known()):
        state = state.with_report(report)
    failure = {
        "checked_at": "2026-11-22T17:55:00Z",
        "duration_seconds": 0.25,
        "federation_ok": False,
        "problems": [{"stage": "tls", "reason": "certificate_expired"}],
        "exporter_offline": False,
    }
    success = failure | {"checked_at": "2026-11-22T18:00:00Z", "federation_ok": True, "problems": []}
    history = {"exporter_offline": False, "history": [success, failure], "last_failures": [failure]}
    watched = {"group": "ours", "labels": {"env": "prod", "team": "chat"}, "expectations": []}
    assert server_state_json(state) == report_json(delegated_by_well_known()) | watched | history


def test_what_is_expected_of_a_watched_server_is_part_of_its_report() -> None:
    """With what was found."""
    watched = watched_server("example.org", expected=Expectations(issuer="Elsewhere"))
    assert server_state_json(ServerState(watched).with_report(delegated_by_well_known()))["expectations"] == [
        {"expectation": "issuer", "expected": "Elsewhere", "found": "CN=Test Intermediate", "as_expected": False}
    ]


def test_an_offline_probe_is_part_of_the_history() -> None:
    """The report remains that of the latest probe that was not offline."""
    offline = replace(
        delegated_by_well_known(), endpoints=(), ended_at=ENDED_AT + timedelta(minutes=5), exporter_offline=True
    )
    document = server_state_json(
        ServerState(watched_server("example.org")).with_report(delegated_by_well_known()).with_report(offline)
    )
    assert (document["exporter_offline"], document["checked_at"]) == (True, "2026-11-22T18:00:00Z")
    assert [result["exporter_offline"] for result in document["history"]] == [True, False]
    assert document["last_failures"] == []


def test_keys_behind_a_bad_certificate_are_apart() -> None:
    """Programs cannot take them for verified ones."""
    (endpoint,) = report_json(behind_expired_certificate())["endpoints"]
    keys = {"keys": {"ed25519:a_1": "a2V5"}, "valid_until": "2026-11-23T18:00:00Z"}
    assert endpoint["behind_bad_certificate"] == {**keys, "problems": []}
    assert (endpoint["ok"], endpoint["keys"], endpoint["valid_until"]) == (False, None, None)
    assert [stage["stage"] for stage in endpoint["stages"] if stage["ok"]] == ["tcp"]


def test_problems_of_keys_behind_a_bad_certificate() -> None:
    other: Failed[SigningKeys] = Failed(0.1, (Problem(Reason.SERVER_NAME_MISMATCH, "a sentence"),))
    (endpoint,) = report_json(behind_expired_certificate(other))["endpoints"]
    problems = [{"reason": "server_name_mismatch", "detail": "a sentence"}]
    assert endpoint["behind_bad_certificate"] == {"keys": None, "valid_until": None, "problems": problems}


def test_a_warning_may_depend_on_an_earlier_report() -> None:
    """A well-known that was there before is lost, not only absent."""
    absent = Passed(0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS))
    later = replace(delegated_by_well_known(), well_known=absent)
    state = ServerState(watched_server("example.org")).with_report(delegated_by_well_known()).with_report(later)
    assert [entry["warning"] for entry in server_state_json(state)["warnings"]] == ["delegation_lost"]
