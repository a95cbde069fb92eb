from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.addresses import Target
from exporter.model.enums import Method, Stage
from exporter.model.findings import Delegation, Resolution, Software
from exporter.model.names import parse
from exporter.model.outcomes import Passed
from exporter.reports import phrases
from tests.sample_reports import (
    DELEGATED,
    ENDED_AT,
    certificate,
    delegated_by_well_known,
    nothing_resolved,
    two_families,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "<0.1 ms"),
        (0.00009, "<0.1 ms"),
        (0.0012, "1.2 ms"),
        (0.0123, "12 ms"),
        (0.25, "250 ms"),
        (1.0, "1.00 s"),
        (30.001, "30.00 s"),
    ],
)
def test_durations_fit_their_column(seconds: float, text: str) -> None:
    """Three digits say enough, and the column is seven wide."""
    assert phrases.format_duration(seconds) == text
    assert len(text) <= 7


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(days=12, hours=23), "12 days"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=1, hours=23), "47 hours"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(minutes=119, seconds=59), "119 minutes"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(), "0 seconds"),
    ],
)
def test_spans_are_rounded_down(time: timedelta, text: str) -> None:
    """Nobody is told of more time than there is."""
    assert phrases.format_span(time) == text


def test_expiry_is_told_from_both_sides() -> None:
    """With the date, for the calendar."""
    ahead, behind = (phrases.format_expiry(certificate("a.test", days).not_after, ENDED_AT) for days in (12, -3))
    assert (ahead, behind) == ("expires in 12 days (2026-12-04)", "expired 3 days ago (2026-11-19)")


def test_a_chain_that_ends_before_its_leaf_is_told_of() -> None:
    """Peers refuse the chain on that day, whatever the leaf says."""
    seen = replace(certificate("a.test", 60), chain_not_after=ENDED_AT + timedelta(days=5))
    assert list(phrases.describe_certificate(seen, ENDED_AT))[-2:] == [
        "expires in 60 days (2027-01-21)",
        "its chain expires in 5 days (2026-11-27)",
    ]


def test_many_things_are_counted() -> None:
    """The first few tell which they are."""
    assert phrases.join_limited(["a", "b", "c"], "name") == "a, b, c"
    assert phrases.join_limited(["a", "b", "c", "d", "e"], "name") == "a, b, c and 2 more"
    assert phrases.join_limited([], "name") == "no name"


def test_the_way_leaves_out_what_changes_nothing() -> None:
    """An address as server name is its own target and endpoint."""
    address = "192.0.2.1:443"
    route = replace(delegated_by_well_known().route, method=Method.IP_LITERAL, targets=(Target("192.0.2.1", 443),))
    report = replace(
        delegated_by_well_known(), server_name=parse(address), route=route, well_known=Passed(0, Delegation(3600))
    )
    assert phrases.describe_path(report) == [address]


def test_the_way_ends_where_discovery_ended() -> None:
    """With no endpoint, or already with no target."""
    report = nothing_resolved()
    without_target = replace(report, route=replace(report.route, method=Method.SRV_FED, targets=()))
    assert phrases.describe_path(report) == ["gone.example.org", "gone.example.org:8448", "no endpoint"]
    assert phrases.describe_path(without_target) == ["gone.example.org", "SRV", "no target"]


def test_the_way_names_the_delegated_server_before_its_srv_records() -> None:
    """Three names, and which of them led to which."""
    report = two_families()
    report = replace(
        report,
        well_known=Passed(0, Delegation(3600, server=parse("fed.example.org"))),
        route=replace(report.route, method=Method.WELL_KNOWN_SRV_FED),
        endpoints=report.endpoints[:1],
    )
    assert phrases.describe_path(report) == [
        "dual.example.org",
        "well-known",
        "fed.example.org",
        "SRV",
        "one.example.org:8448, two.example.org:8448",
        "192.0.2.1:8448",
    ]


@pytest.mark.parametrize(
    ("server_name", "stage", "why"),
    [
        ("192.0.2.1", Stage.WELL_KNOWN, "the server name gives an IP address"),
        ("[2001:db8::1]:8449", Stage.SRV, "the server name gives an IP address"),
        ("example.org:8449", Stage.WELL_KNOWN, "the server name gives a port"),
        ("example.org:8449", Stage.SRV, "the server name gives a port"),
        ("example.org", Stage.DNS, "there is no target to look up"),
    ],
)
def test_a_stage_that_was_skipped_says_why(server_name: str, stage: Stage, why: str) -> None:
    """So that nobody looks for what the specification does not ask for."""
    assert phrases.explain_skip(stage, replace(nothing_resolved(), server_name=parse(server_name))) == why


@pytest.mark.parametrize(("m_server", "gives"), [("192.0.2.1", "an IP address"), ("matrix.example.org:443", "a port")])
def test_a_delegation_may_settle_the_target(m_server: str, gives: str) -> None:
    """Then SRV records are not asked for."""
    report = replace(delegated_by_well_known(), well_known=Passed(0, Delegation(3600, server=parse(m_server))))
    assert phrases.explain_skip(Stage.SRV, report) == f"the well-known gives {gives}"


def test_software_may_be_silent() -> None:
    """Both fields are optional in the specification."""
    silent, half = (list(phrases.describe_software(Software(*seen))) for seen in ((None, None), ("Synapse", None)))
    assert (silent, half) == (["does not say which software it is"], ["Synapse"])


def test_an_ip_literal_is_not_looked_up() -> None:
    """The stage says that there was nothing to do."""
    literal = replace(DELEGATED, target=Target("192.0.2.1", 443))
    assert list(phrases.describe_resolution(Resolution((literal,)))) == ["an IP address already"]
    assert list(phrases.describe_resolution(Resolution((DELEGATED,)))) == ["matrix.example.org: 192.0.2.1"]
