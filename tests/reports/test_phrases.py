"""The phrases of reports for people."""

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
    ENDED_AT,
    MATRIX_ENDPOINT,
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
    """The column is seven characters wide."""
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
    """A span is never longer than the real time."""
    assert phrases.format_span(time) == text


def test_an_expiry_may_be_in_the_future_or_in_the_past() -> None:
    """It includes the date."""
    ahead, behind = (phrases.format_expiry(certificate("a.test", days).not_after, ENDED_AT) for days in (12, -3))
    assert (ahead, behind) == ("expires in 12 days (2026-12-04)", "expired 3 days ago (2026-11-19)")


def test_a_chain_that_expires_before_its_leaf_is_mentioned() -> None:
    """Peers refuse the chain from that day on."""
    seen = replace(certificate("a.test", 60), chain_not_after=ENDED_AT + timedelta(days=5))
    assert list(phrases.describe_certificate(seen, ENDED_AT))[-2:] == [
        "expires in 60 days (2027-01-21)",
        "its chain expires in 5 days (2026-11-27)",
    ]


def test_a_long_list_is_truncated_and_counted() -> None:
    """The first three items are shown."""
    assert phrases.join_limited(["a", "b", "c"], "name") == "a, b, c"
    assert phrases.join_limited(["a", "b", "c", "d", "e"], "name") == "a, b, c and 2 more"
    assert phrases.join_limited([], "name") == "no name"


def test_the_path_omits_steps_that_change_nothing() -> None:
    """An IP address as server name is its own target and endpoint."""
    address = "192.0.2.1:443"
    route = replace(delegated_by_well_known().route, method=Method.IP_LITERAL, targets=(Target("192.0.2.1", 443),))
    report = replace(
        delegated_by_well_known(), server_name=parse(address), route=route, well_known=Passed(0, Delegation(3600))
    )
    assert phrases.describe_path(report) == [address]


def test_the_path_ends_where_discovery_ended() -> None:
    """Discovery may end without an endpoint, or even without a target."""
    report = nothing_resolved()
    without_target = replace(report, route=replace(report.route, method=Method.SRV_FED, targets=()))
    assert phrases.describe_path(report) == ["gone.example.org", "gone.example.org:8448", "no endpoint"]
    assert phrases.describe_path(without_target) == ["gone.example.org", "SRV", "no target"]


def test_the_path_shows_the_delegated_server_before_its_srv_records() -> None:
    """The SRV records belong to the delegated server."""
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
        ("192.0.2.1", Stage.WELL_KNOWN, "the server name contains an IP address"),
        ("[2001:db8::1]:8449", Stage.SRV, "the server name contains an IP address"),
        ("example.org:8449", Stage.WELL_KNOWN, "the server name contains a port"),
        ("example.org:8449", Stage.SRV, "the server name contains a port"),
        ("example.org", Stage.DNS, "there is no target to resolve"),
    ],
)
def test_a_skipped_stage_is_explained(server_name: str, stage: Stage, why: str) -> None:
    """The specification does not require the stage in these cases."""
    assert phrases.explain_skip(stage, replace(nothing_resolved(), server_name=parse(server_name))) == why


@pytest.mark.parametrize(("m_server", "part"), [("192.0.2.1", "an IP address"), ("matrix.example.org:443", "a port")])
def test_a_delegation_with_an_address_or_a_port_skips_srv(m_server: str, part: str) -> None:
    """The explanation says which of them the well-known contains."""
    report = replace(delegated_by_well_known(), well_known=Passed(0, Delegation(3600, server=parse(m_server))))
    assert phrases.explain_skip(Stage.SRV, report) == f"the well-known contains {part}"


def test_software_may_be_unknown() -> None:
    """Both fields are optional in the specification."""
    unknown, half = (list(phrases.describe_software(Software(*seen))) for seen in ((None, None), ("Synapse", None)))
    assert (unknown, half) == (["does not name its software"], ["Synapse"])


def test_an_ip_literal_is_not_resolved() -> None:
    """The phrase says that the target is already an address."""
    literal = replace(MATRIX_ENDPOINT, target=Target("192.0.2.1", 443))
    assert list(phrases.describe_resolution(Resolution((literal,)))) == ["already an IP address"]
    assert list(phrases.describe_resolution(Resolution((MATRIX_ENDPOINT,)))) == ["matrix.example.org: 192.0.2.1"]
