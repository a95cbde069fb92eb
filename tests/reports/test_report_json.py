import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.judging.warnings import WarningName
from exporter.model.findings import Delegation
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.reports.report_json import report_json, server_state_json
from exporter.reports.server_state import ServerState
from tests.sample_reports import (
    ENDED_AT,
    delegated_by_well_known,
    expired_certificate,
    faults_in_deep_look,
    nothing_resolved,
    two_families,
    watched_server,
)

EXPECTED = Path(__file__).parent / "expected"

REPORTS: dict[str, Callable[[], Report]] = {
    "delegated_by_well_known": delegated_by_well_known,
    "expired_certificate": expired_certificate,
    "nothing_resolved": nothing_resolved,
    "two_families": two_families,
    "faults_in_deep_look": faults_in_deep_look,
}


def as_read(report: Report) -> Any:
    """What another program reads."""
    return json.loads(json.dumps(report_json(report)))


@pytest.mark.parametrize("name", REPORTS)
def test_reports_are_as_written_down(name: str) -> None:
    """Every field, with its null and its []."""
    assert as_read(REPORTS[name]()) == json.loads((EXPECTED / f"{name}.json").read_text())


def test_fields_stand_in_the_order_of_the_contract() -> None:
    """People read it too."""
    document = report_json(delegated_by_well_known())
    assert list(document) == [
        "server_name",
        "checked_at",
        "duration_seconds",
        "federation_ok",
        "delegation",
        "stages",
        "problems",
        "warnings",
        "endpoints",
        "deep_look",
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
def test_a_well_known_is_valid_absent_failed_or_not_to_be_asked_for(outcome: Any, expected: object) -> None:
    """A reason stands beside what is absent, too."""
    report = replace(delegated_by_well_known(), well_known=outcome)
    assert as_read(report)["delegation"]["well_known"] == expected


def test_durations_are_rounded_to_microseconds() -> None:
    """More digits are noise."""
    report = replace(nothing_resolved(), seconds=0.123456789, well_known=Passed(1e-9, Delegation(3600)))
    document = as_read(report)
    assert document["duration_seconds"] == 0.123457
    assert document["stages"][0] == {"stage": "well_known", "ok": True, "duration_seconds": 0.0}


def test_every_warning_has_a_remedy() -> None:
    """A sentence that tells somebody what to do."""
    assert all(warning.remedy.endswith(".") for warning in WarningName)


def test_what_is_remembered_stands_beside_the_report() -> None:
    """The newest first; failures are kept aside."""
    state = ServerState(watched_server("example.org"))
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
    remembered = {"exporter_offline": False, "history": [success, failure], "last_failures": [failure]}
    assert server_state_json(state) == report_json(delegated_by_well_known()) | remembered


def test_a_blind_probe_is_remembered_as_such() -> None:
    """And the report stays the latest one that says anything."""
    blind = replace(
        delegated_by_well_known(), endpoints=(), ended_at=ENDED_AT + timedelta(minutes=5), exporter_offline=True
    )
    document = server_state_json(
        ServerState(watched_server("example.org")).with_report(delegated_by_well_known()).with_report(blind)
    )
    assert (document["exporter_offline"], document["checked_at"]) == (True, "2026-11-22T18:00:00Z")
    assert [result["exporter_offline"] for result in document["history"]] == [True, False]
    assert document["last_failures"] == []


def test_a_warning_may_rest_on_what_was_seen_before() -> None:
    """A well-known that was there a moment ago is lost, and not merely absent."""
    absent = Passed(0.1, Delegation(3600, absent_because=Reason.HTTP_STATUS))
    later = replace(delegated_by_well_known(), well_known=absent)
    state = ServerState(watched_server("example.org")).with_report(delegated_by_well_known()).with_report(later)
    assert [entry["warning"] for entry in server_state_json(state)["warnings"]] == ["delegation_lost"]
