import io
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from rich.console import Console

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import SrvService
from exporter.model.findings import Certificate, Resolution, SigningKeys, Software, SrvRecord, SrvRecords, TlsSession
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointDeepLook, EndpointReport, Report
from exporter.reports.report_text import bar, build_tree, render_plain
from tests.sample_reports import (
    DELEGATED,
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    expired_certificate,
    looked_deep,
    nothing_resolved,
    secured,
    two_families,
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
    """Healthy over IPv4, and nobody there over IPv6."""
    report = delegated_by_well_known()
    ipv6 = Endpoint(MATRIX_443, IPv6Address("2001:db8::1"))
    return replace(
        report,
        dns=Passed(0.005, Resolution((DELEGATED, ipv6))),
        endpoints=(*report.endpoints, EndpointReport(ipv6, Failed(0.5, (REFUSED,)))),
    )


def behind_alias() -> Report:
    """An SRV record whose target is an alias: reached, but it does not count."""
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
    "nothing_resolved": nothing_resolved,
    "one_endpoint_broken": one_endpoint_broken,
    "behind_alias": behind_alias,
    "two_families": two_families,
    "looked_deep": looked_deep,
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_are_as_written_down(name: str) -> None:
    """Plain, at 80 columns, without spaces at the ends of lines."""
    assert text(REPORTS[name]()) == (EXPECTED / f"{name}.txt").read_text()


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("name", REPORTS)
def test_no_line_is_wider_than_the_terminal(name: str, columns: int) -> None:
    """Wrapped lines stay to the right of what they belong to."""
    assert max(map(len, text(REPORTS[name](), columns).splitlines())) <= columns


def test_says_everything_in_ascii_where_nothing_else_can_be_shown() -> None:
    """Signs, lines of the tree, and what remote servers chose."""
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


def test_colours_only_underline_what_words_say() -> None:
    """Without its escape sequences, the text for a terminal is the plain one."""
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
    """https://no-color.org: bold may stay, colours go."""
    written = io.StringIO()
    console = Console(file=written, width=80, force_terminal=True, color_system="standard", _environ={"NO_COLOR": "1"})
    console.print(build_tree(expired_certificate()))
    codes = {part.partition("m")[0] for part in written.getvalue().split("\x1b[")[1:]}
    assert codes <= {"0", "1", "2"}


@pytest.fixture
def hostile() -> Report:
    """Every text that a remote server can choose."""
    report, target = delegated_by_well_known(), Target(HOSTILE, 8448)
    leaf = secured(HOSTILE).certificate
    seen = EndpointReport(
        replace(DELEGATED, target=target),
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
    """No escape sequence, no markup, no other direction of writing, no flood."""
    shown = text(hostile)
    assert all(line.isprintable() for line in shown.splitlines())
    assert shown.count("[red]") == shown.count("[/bold]") > 3
    assert len(shown) < 8000


def test_problems_of_one_reason_share_their_remedy() -> None:
    """Two bad signatures are one thing to repair."""
    found = tuple(Problem(Reason.SIGNATURE_INVALID, f"ed25519:{key}: bad") for key in "ab")
    seen = replace(delegated_by_well_known().endpoints[0], keys=Failed(0.04, found))
    lines = [line.strip() for line in text(with_endpoint(seen)).splitlines()]
    first = lines.index("signature_invalid: ed25519:a: bad")
    assert lines[first + 1] == "signature_invalid: ed25519:b: bad"
    assert sum(line.startswith("remedy:") for line in lines) == 1


def test_a_broken_family_is_no_news_where_nothing_is_healthy() -> None:
    """The certificate is the story, and not that IPv4 suffers from it."""
    assert "warning" not in text(expired_certificate())
    assert "warning ipv6_broken" in text(two_families())


@pytest.mark.parametrize("environment", [{"FORCE_COLOR": "1"}, {"COLUMNS": "20"}, {"TERM": "dumb"}])
def test_plain_text_is_plain_everywhere(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the exporter's own terminal is like."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert render_plain(two_families()) == (EXPECTED / "two_families.txt").read_text()


def test_a_deep_look_of_this_probe_needs_no_age() -> None:
    """It ends a little later than the probe, whose time the report bears."""
    assert "deep look: with this probe (2026-11-22 18:00 UTC)" in text(looked_deep(0))


def test_an_inconclusive_proxy_is_neither_good_nor_bad() -> None:
    """And it was reached, unlike what is skipped elsewhere."""
    report = looked_deep()
    (seen,) = report.endpoints
    shown = text(replace(report, endpoints=(replace(seen, deep=EndpointDeepLook(SKIPPED)),)))
    assert "\N{EN DASH} proxy inconclusive: no answer tells what a reverse proxy does" in shown
    assert "not reached" not in shown


def test_bars_compare_the_stages() -> None:
    """The slowest has a whole one, and what took any time at all has some of one."""
    assert [bar(seconds, 3.0) for seconds in (3.0, 1.5, 0.001, 0.0)] == ["▇" * 6, "▇" * 3, "▇", ""]
