"""What is made of the answers of notaries: verdicts, warnings, and the report for programs and for people."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from exporter.judging import verdict
from exporter.judging.verdict import StageVerdict
from exporter.judging.warnings import ActiveWarning, WarningName, warnings
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason, remedy
from exporter.model.report import DeepLook, NotaryResult, Report
from exporter.reports.report_json import report_json
from exporter.reports.report_text import build_tree
from exporter.reports.server_state import ServerState
from tests.sample_reports import ENDED_AT, delegated_by_well_known, watched
from tests.scrapes import board_of, samples_of, text_of

GIVEN = SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=1))
OTHER = SigningKeys({"ed25519:a_1": "b3RoZXI"}, ENDED_AT + timedelta(hours=5))


def look(notary: str, outcome: Outcome[SigningKeys], because: str | None = None) -> NotaryResult:
    return NotaryResult(names.parse(notary), outcome, because)


def disagreement(detail: str) -> Failed[SigningKeys]:
    return Failed(0.25, (Problem(Reason.SIGNATURE_INVALID, detail),), OTHER)


AGREES = look("agrees.test", Passed(0.125, GIVEN))
DISAGREES = look("differs.test", disagreement("differs.test gives out another key as ed25519:a_1"))
SILENT = look("silent.test", SKIPPED, "connect_refused: Connection refused")


def report(*looks: NotaryResult) -> Report:
    """Of a server that is healthy but for what notaries say of it."""
    healthy = delegated_by_well_known()
    (endpoint,) = healthy.endpoints
    published = replace(GIVEN, content_type="application/json")
    endpoint = replace(endpoint, keys=Passed(0.04, published))
    return replace(healthy, endpoints=(endpoint,), deep=DeepLook(ENDED_AT, {}, None, looks))


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ((), None),
        ((SILENT,), None),
        ((AGREES, SILENT), StageVerdict(ok=True, seconds=0.125)),
        ((AGREES, DISAGREES), StageVerdict(ok=False, seconds=0.25)),
    ],
)
def test_the_stage_is_conclusive_where_any_notary_is(looks: tuple[NotaryResult, ...], expected: StageVerdict) -> None:
    """One that disagrees is enough to fail, and the slowest counts. The server federates whatever they say."""
    seen = report(*looks)
    assert (verdict.stages(seen).get(Stage.NOTARY), verdict.federates(seen)) == (expected, True)


def test_one_warning_tells_of_all_that_disagree() -> None:
    also = look("also.test", disagreement("also.test gives out ed25519:b, where the server publishes ed25519:a_1"))
    assert warnings(report(AGREES, SILENT)) == ()
    assert warnings(report(DISAGREES, AGREES, also)) == (
        ActiveWarning(
            WarningName.NOTARY_DISAGREES,
            "differs.test gives out another key as ed25519:a_1; "
            "also.test gives out ed25519:b, where the server publishes ed25519:a_1",
        ),
    )


def test_what_notaries_said_is_kept_until_the_next_deep_look() -> None:
    """And so is the warning."""
    later = replace(report(), deep=None)
    state = ServerState(watched("example.org")).with_report(report(DISAGREES)).with_report(later)
    assert state.report is not None
    assert state.report.deep == DeepLook(ENDED_AT, {}, None, (DISAGREES,))
    assert [warning.warning for warning in state.warnings()] == [WarningName.NOTARY_DISAGREES]


def test_a_warning_that_holds_twice_is_one_series() -> None:
    """A series given twice would spoil the whole scrape."""
    server = report(DISAGREES)
    old = [
        replace(endpoint, tls=Passed(0.02, replace(endpoint.tls.found, tls_version="TLSv1")))
        for endpoint in server.endpoints
        if isinstance(endpoint.tls, Passed)
    ]
    known = server.well_known
    assert isinstance(known, Passed)
    assert known.found.secured is not None
    delegation = replace(known.found, secured=replace(known.found.secured, tls_version="TLSv1"))
    server = replace(server, endpoints=tuple(old), well_known=Passed(0.08, delegation))
    assert [warning.warning for warning in warnings(server)].count(WarningName.TLS_VERSION_OLD) == 2
    scrape = samples_of(text_of(board_of([watched("example.org")], server)))
    assert [line for line in scrape if "warning_info" in line] == [
        'matrix_federation_warning_info{server_name="example.org",warning="tls_version_old"} 1.0',
        'matrix_federation_warning_info{server_name="example.org",warning="notary_disagrees"} 1.0',
    ]


# ---------------------------------------------------------------- reports


def test_programs_read_what_each_notary_said() -> None:
    """Null is what is not known."""
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


def text(seen: Report) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=1000).print(build_tree(seen))
    return written.getvalue().splitlines()


def test_people_read_what_each_notary_said() -> None:
    """With the remedies for those that disagree."""
    lines = text(report(AGREES, DISAGREES, SILENT))
    first = next(number for number, line in enumerate(lines) if "notary" in line)
    assert lines[first:] == [
        "├── ✓ notary      ok       125 ms ▇▇▇    agrees.test gives out the same keys",
        "├── ✗ notary      failed   250 ms ▇▇▇▇▇▇ differs.test",
        "│     signature_invalid: differs.test gives out another key as ed25519:a_1",
        f"│     remedy: {remedy(Stage.NOTARY, Reason.SIGNATURE_INVALID)}",
        (
            "├── \N{EN DASH} notary      skipped                silent.test tells nothing: connect_refused: "
            "Connection refused"
        ),
        "└── ! warning notary_disagrees: differs.test gives out another key as ed25519:a_1",
        f"      remedy: {WarningName.NOTARY_DISAGREES.remedy}",
    ]
