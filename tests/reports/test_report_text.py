"""The report as text for people."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from rich.console import Console

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Oddity, SrvService
from exporter.model.findings import Certificate, Resolution, SigningKeys, Software, SrvRecord, SrvRecords, TlsSession
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointDeepLook, EndpointReport, Report
from exporter.model.servers import Expectations, ExpectedSoftware
from exporter.reports.report_text import bar, build_tree, render_plain
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    MATRIX_ENDPOINT,
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    failed_srv_lookup,
    faults_in_deep_look,
    nothing_resolved,
    tls_session,
    two_families,
    with_keys,
    with_outbound,
)

EXPECTED = Path(__file__).parent / "expected"
RIGHT_TO_LEFT = "\N{RIGHT-TO-LEFT OVERRIDE}"
HOSTILE = f"[red]\x1b[31m\x07{RIGHT_TO_LEFT}\n\t[/bold] " + "x" * 1000
REFUSED = Problem(Reason.CONNECT_REFUSED, "Connection refused")


def text(report: Report, columns: int = 80) -> str:
    written = io.StringIO()
    Console(file=written, width=columns).print(build_tree(report))
    return written.getvalue()


def with_endpoint(seen: EndpointReport) -> Report:
    return replace(delegated_by_well_known(), endpoints=(seen,))


def one_endpoint_broken() -> Report:
    """Return a report with a healthy IPv4 endpoint and an IPv6 endpoint that refuses connections."""
    report = delegated_by_well_known()
    ipv6 = Endpoint(MATRIX_443, IPv6Address("2001:db8::1"))
    return replace(
        report,
        dns=Passed(0.005, Resolution((MATRIX_ENDPOINT, ipv6))),
        endpoints=(*report.endpoints, EndpointReport(ipv6, Failed(0.5, (REFUSED,)))),
    )


def behind_alias() -> Report:
    """Return a report with a healthy endpoint whose SRV target is an alias."""
    report = two_families()
    target = report.route.targets[0]
    alias = Failed(
        0.02,
        (Problem(Reason.SRV_TARGET_ALIAS, f"{target.host} is an alias (CNAME)"),),
        SrvRecords({SrvService.MATRIX_FED: (SrvRecord(10, 5, target),)}, SrvService.MATRIX_FED),
    )
    endpoint = replace(report.endpoints[0].endpoint, behind_alias=True)
    return replace(
        report,
        srv=alias,
        route=replace(report.route, targets=(target,)),
        dns=Passed(0.005, Resolution((endpoint,))),
        endpoints=(replace(report.endpoints[0], endpoint=endpoint),),
    )


REPORTS: dict[str, Callable[[], Report]] = {
    "delegated_by_well_known": delegated_by_well_known,
    "expired_certificate": expired_certificate,
    "behind_expired_certificate": behind_expired_certificate,
    "nothing_resolved": nothing_resolved,
    "one_endpoint_broken": one_endpoint_broken,
    "behind_alias": behind_alias,
    "two_families": two_families,
    "faults_in_deep_look": faults_in_deep_look,
    "failed_srv_lookup": failed_srv_lookup,
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_expected_text(name: str) -> None:
    """The text is plain, has 80 columns, and no line ends in a space."""
    assert text(REPORTS[name]()) == (EXPECTED / f"{name}.txt").read_text()


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("name", REPORTS)
def test_no_line_is_wider_than_the_terminal(name: str, columns: int) -> None:
    """Long lines are wrapped."""
    assert max(map(len, text(REPORTS[name](), columns).splitlines())) <= columns


def test_ascii_is_sufficient_for_a_terminal() -> None:
    """Symbols, lines of the tree and text of remote servers are replaced."""
    software = Passed(0.03, Software("Sýnapse", "1.0"))
    report = with_endpoint(replace(delegated_by_well_known().endpoints[0], version=software))
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, "ascii", newline="\n")
    Console(file=stream, width=80).print(build_tree(report))
    stream.flush()
    lines = written.getvalue().decode("ascii").splitlines()
    assert lines[:2] == [
        "* example.org federates (250 ms)",
        "  example.org > well-known > matrix.example.org:443 > 192.0.2.1:443",
    ]
    assert "    +-- * version ok        30 ms ##     S?napse 1.0" in lines


def test_colours_carry_no_information() -> None:
    """Without escape sequences, the text for a terminal is the same as the plain text."""
    written = io.StringIO()
    console = Console(file=written, width=80, force_terminal=True, color_system="standard", _environ={})
    console.print(build_tree(expired_certificate()))
    assert "\x1b[" in written.getvalue()
    without_colours = io.StringIO()
    Console(file=without_colours, width=80).print(build_tree(expired_certificate()))
    assert strip_escapes(written.getvalue()) == without_colours.getvalue()


def strip_escapes(coloured: str) -> str:
    first, *rest = coloured.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)


def test_no_color_is_honoured() -> None:
    """Only bold and dim text remain (https://no-color.org)."""
    written = io.StringIO()
    console = Console(file=written, width=80, force_terminal=True, color_system="standard", _environ={"NO_COLOR": "1"})
    console.print(build_tree(expired_certificate()))
    codes = {part.partition("m")[0] for part in written.getvalue().split("\x1b[")[1:]}
    assert codes <= {"0", "1", "2"}


@pytest.fixture
def hostile() -> Report:
    """A report with hostile text in every field that a remote server can choose."""
    report, target = delegated_by_well_known(), Target(HOSTILE, 8448)
    leaf = tls_session(HOSTILE).certificate
    seen = EndpointReport(
        replace(MATRIX_ENDPOINT, target=target),
        tcp=Passed(0.01, None),
        tls=Passed(0.02, TlsSession(hostile_certificate(leaf), HOSTILE)),
        version=Passed(0.03, Software(HOSTILE, HOSTILE)),
        keys=Failed(0.04, (Problem(Reason.NO_SIGNING_KEY, HOSTILE),), SigningKeys({HOSTILE: HOSTILE}, ENDED_AT)),
    )
    records = SrvRecords({SrvService.MATRIX_FED: (SrvRecord(10, 5, target),)}, SrvService.MATRIX_FED)
    return replace(report, srv=Passed(0.01, records), endpoints=(seen,))


def hostile_certificate(leaf: Certificate) -> Certificate:
    return replace(leaf, issuer=HOSTILE, subject=HOSTILE, names=(HOSTILE,) * 5)


def test_hostile_text_is_harmless(hostile: Report) -> None:
    """It contains no escape sequences, no markup, no change of the writing direction, and is truncated."""
    shown = text(hostile)
    assert all(line.isprintable() for line in shown.splitlines())
    assert shown.count("[red]") == shown.count("[/bold]") > 3
    assert len(shown) < 8000


def test_problems_with_the_same_reason_share_a_remedy() -> None:
    """Two invalid signatures have the same cause."""
    found = tuple(Problem(Reason.SIGNATURE_INVALID, f"ed25519:{key}: bad") for key in "ab")
    seen = replace(delegated_by_well_known().endpoints[0], keys=Failed(0.04, found))
    lines = [line.strip() for line in text(with_endpoint(seen)).splitlines()]
    first = lines.index("signature_invalid: ed25519:a: bad")
    assert lines[first + 1] == "signature_invalid: ed25519:b: bad"
    assert sum(line.startswith("remedy:") for line in lines) == 1


def with_keys_refused_by(oddity: Oddity) -> Report:
    """Return the report of a server whose keys some implementations refuse."""
    keys = SigningKeys(
        {"ed25519:a": "a"}, ENDED_AT + timedelta(days=1), "application/json", oddities=frozenset({oddity})
    )
    return with_endpoint(with_keys(delegated_by_well_known().endpoints[0], keys))


def test_the_heading_names_the_implementations_that_cannot_federate() -> None:
    """The stages show nothing of it, so the remedy is there too. The warning about it would be a repetition."""
    shown = text(with_keys_refused_by(Oddity.PADDED_BASE64), 100).splitlines()
    assert shown[0] == "! example.org federates only in part (250 ms)"
    assert shown[3:5] == [
        "  ! Dendrite fails at keys of 192.0.2.1:443 (invalid_content): Dendrite refuses the keys: their",
        "    base64 is padded",
    ]
    assert shown[5].startswith("    remedy: The document of the keys is not what the specification requires")
    assert not any("works_for_some" in line for line in shown)


def test_the_heading_says_why_a_server_whose_stages_pass_does_not_federate() -> None:
    """Neither Synapse nor Dendrite accepts what the specification does not forbid."""
    shown = text(with_keys_refused_by(Oddity.BYTE_ORDER_MARK), 100).splitlines()
    assert shown[0] == "✗ example.org does not federate (250 ms): invalid_content"
    assert (
        shown[3] == "  ✗ Synapse fails at keys of 192.0.2.1:443 (invalid_content): Synapse refuses the keys: they begin"
    )


@pytest.mark.parametrize("environment", [{"FORCE_COLOR": "1"}, {"COLUMNS": "20"}, {"TERM": "dumb"}])
def test_plain_text_does_not_depend_on_the_environment(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal of the exporter does not matter."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert render_plain(two_families()) == (EXPECTED / "two_families.txt").read_text()


def test_a_deep_look_of_the_same_probe_has_no_age() -> None:
    """It ends slightly later than the probe that includes it."""
    assert "deep look: with this probe (2026-11-22 18:00 UTC)" in text(faults_in_deep_look(0))


def test_the_other_direction_says_how_old_it_is() -> None:
    """The verdict on the server may rest on it."""
    assert "looked at 5 minutes before this probe (2026-11-22 17:55 UTC)" in text(with_outbound())


def test_an_inconclusive_proxy_check_is_shown_as_such() -> None:
    """It is not one of the stages that were not reached."""
    report = faults_in_deep_look()
    (seen,) = report.endpoints
    shown = text(replace(report, endpoints=(replace(seen, deep=EndpointDeepLook(SKIPPED)),)), 100)
    assert "\N{EN DASH} proxy inconclusive: the responses do not show what a reverse proxy does" in shown
    assert "not reached" not in shown


def test_bars_compare_the_durations_of_stages() -> None:
    """The slowest stage has a full bar, and every stage that took any time has at least one block."""
    assert [bar(seconds, 3.0) for seconds in (3.0, 1.5, 0.001, 0.0)] == ["▇" * 6, "▇" * 3, "▇", ""]


def test_another_homeserver_behind_a_bad_certificate() -> None:
    """The certificate may be bad because the address leads to the wrong machine."""
    other = Problem(Reason.SERVER_NAME_MISMATCH, "the keys belong to 'a', expected 'b'")
    assert "unverified: behind this certificate, the keys have a problem too:\n" in text(
        behind_expired_certificate(Failed(0.1, (other,)))
    )


def test_an_earlier_look_behind_a_bad_certificate_does_not_show_once_the_certificate_is_good() -> None:
    """The deep look may be an hour older than the probe."""
    deep = behind_expired_certificate().endpoints[0].deep
    (endpoint,) = delegated_by_well_known().endpoints
    assert "unverified" not in text(with_endpoint(replace(endpoint, deep=deep)))


def test_what_is_expected_stands_beside_what_was_found() -> None:
    """At the end of the tree."""
    expected = Expectations(software=ExpectedSoftware("Synapse"), issuer="Elsewhere")
    assert render_plain(delegated_by_well_known(), expected=expected).splitlines()[-2:] == [
        "├── ✓ software as expected: Synapse 1.163.2",
        "└── ! issuer unexpected: expected Elsewhere, found CN=Test Intermediate",
    ]
