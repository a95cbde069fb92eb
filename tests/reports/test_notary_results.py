"""What follows from the results of notaries: verdicts, warnings, and the report as JSON and as text."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from exporter.judging import verdict
from exporter.judging.remedies import of_stage
from exporter.judging.verdict import StageVerdict
from exporter.judging.warnings import ActiveWarning, WarningName, warnings
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import DeepLook, NotaryResult, Report
from exporter.reports.report_json import report_json
from exporter.reports.report_text import build_tree
from exporter.reports.server_state import ServerState
from tests.sample_reports import ENDED_AT, delegated_by_well_known, watched_server
from tests.scrapes import board_of, samples_of, text_of

PUBLISHED = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=1))
OTHER = SigningKeys({"ed25519:a_1": "b3RoZXI"}, ENDED_AT + timedelta(hours=5))


def result_of(notary: str, outcome: Outcome[SigningKeys], because: str | None = None) -> NotaryResult:
    return NotaryResult(names.parse(notary), outcome, because)


def disagreement(detail: str) -> Failed[SigningKeys]:
    return Failed(0.25, (Problem(Reason.SIGNATURE_INVALID, detail),), OTHER)


AGREES = result_of("agrees.test", Passed(0.125, PUBLISHED))
DISAGREES = result_of("differs.test", disagreement("differs.test returns a different key as ed25519:a_1"))
SILENT = result_of("silent.test", SKIPPED, "connect_refused: Connection refused")


def report(*results: NotaryResult) -> Report:
    """Return the report of a server that is healthy except for what notaries say about it."""
    healthy = delegated_by_well_known()
    (endpoint,) = healthy.endpoints
    published = replace(PUBLISHED, content_type="application/json")
    endpoint = replace(endpoint, keys=Passed(0.04, published))
    return replace(healthy, endpoints=(endpoint,), deep=DeepLook(ENDED_AT, {}, None, results))


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((), None),
        ((SILENT,), None),
        ((AGREES, SILENT), StageVerdict(ok=True, seconds=0.125)),
        ((AGREES, DISAGREES), StageVerdict(ok=False, seconds=0.25)),
    ],
)
def test_one_notary_that_disagrees_fails_the_stage(results: tuple[NotaryResult, ...], expected: StageVerdict) -> None:
    """The slowest notary gives the duration. The server federates no matter what notaries say."""
    judged = report(*results)
    assert (verdict.stages(judged).get(Stage.NOTARY), verdict.federates(judged)) == (expected, True)


def test_one_warning_names_all_notaries_that_disagree() -> None:
    """The notaries that agree or are inconclusive are not named."""
    also = result_of("also.test", disagreement("also.test returns ed25519:b, but the server publishes ed25519:a_1"))
    assert warnings(report(AGREES, SILENT)) == ()
    assert warnings(report(DISAGREES, AGREES, also)) == (
        ActiveWarning(
            WarningName.NOTARY_DISAGREES,
            "differs.test returns a different key as ed25519:a_1; "
            "also.test returns ed25519:b, but the server publishes ed25519:a_1",
        ),
    )


def test_results_are_kept_until_the_next_deep_look() -> None:
    """The warning is kept with them."""
    later = replace(report(), deep=None)
    state = ServerState(watched_server("example.org")).with_report(report(DISAGREES)).with_report(later)
    assert state.report is not None
    assert state.report.deep == DeepLook(ENDED_AT, {}, None, (DISAGREES,))
    assert [warning.warning for warning in state.warnings] == [WarningName.NOTARY_DISAGREES]


def test_a_warning_that_applies_twice_is_one_series() -> None:
    """Prometheus rejects a scrape that contains a series twice."""
    server = report(DISAGREES)
    old = [
        replace(endpoint, tls=Passed(0.02, replace(endpoint.tls.found, tls_version="TLSv1")))
        for endpoint in server.endpoints
        if isinstance(endpoint.tls, Passed)
    ]
    well_known = server.well_known
    assert isinstance(well_known, Passed)
    assert well_known.found.tls_session is not None
    delegation = replace(well_known.found, tls_session=replace(well_known.found.tls_session, tls_version="TLSv1"))
    server = replace(server, endpoints=tuple(old), well_known=Passed(0.08, delegation))
    assert [warning.warning for warning in warnings(server)].count(WarningName.TLS_VERSION_OLD) == 2
    scrape = samples_of(text_of(board_of([watched_server("example.org")], server)))
    assert [line for line in scrape if "warning_info" in line] == [
        'matrix_federation_warning_info{server_name="example.org",warning="tls_version_old"} 1.0',
        'matrix_federation_warning_info{server_name="example.org",warning="notary_disagrees"} 1.0',
    ]


# ---------------------------------------------------------------- reports


def test_the_json_report_has_every_result() -> None:
    """What is unknown is null."""
    (passed, failed, skipped) = report_json(report(AGREES, DISAGREES, SILENT))["deep_look"]["notaries"]
    assert passed == {
        "server_name": "agrees.test",
        "ok": True,
        "inconclusive_because": None,
        "keys": {"ed25519:a_1": "a2V5"},
        "valid_until": "2026-11-23T18:00:00Z",
    }
    assert failed == {
        "server_name": "differs.test",
        "ok": False,
        "inconclusive_because": None,
        "keys": {"ed25519:a_1": "b3RoZXI"},
        "valid_until": "2026-11-22T23:00:00Z",
    }
    assert skipped == {
        "server_name": "silent.test",
        "ok": None,
        "inconclusive_because": "connect_refused: Connection refused",
        "keys": None,
        "valid_until": None,
    }


def text(report: Report) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=1000).print(build_tree(report))
    return output.getvalue().splitlines()


def test_the_text_report_has_every_result() -> None:
    """It has a remedy for each notary that disagrees."""
    lines = text(report(AGREES, DISAGREES, SILENT))
    first = next(number for number, line in enumerate(lines) if "notary" in line)
    assert lines[first:] == [
        "├── ✓ notary      ok       125 ms ▇▇▇    agrees.test returns the same keys",
        "├── ✗ notary      failed   250 ms ▇▇▇▇▇▇ differs.test",
        "│     signature_invalid: differs.test returns a different key as ed25519:a_1",
        f"│     remedy: {of_stage(Stage.NOTARY, Reason.SIGNATURE_INVALID)}",
        (
            "├── \N{EN DASH} notary      skipped                silent.test is inconclusive: connect_refused: "
            "Connection refused"
        ),
        "└── ! warning notary_disagrees: differs.test returns a different key as ed25519:a_1",
        f"      remedy: {WarningName.NOTARY_DISAGREES.remedy}",
    ]
