"""Whether a server is as the configuration expects it."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from exporter.judging.expectations import Comparison, compare
from exporter.model.addresses import Target
from exporter.model.findings import SigningKeys, Software
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.model.servers import Expectation, Expectations, parse_expected_software
from exporter.model.signing_keys import PinnedKey, encode_base64
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    delegated_by_well_known,
    failed_srv_lookup,
    healthy_at,
    nothing_resolved,
    tls_session,
    two_families,
    with_endpoints,
    with_keys,
)

KEY, OTHER_KEY = bytes([251]) * 32, bytes(32)
FAILED: Failed[Any] = Failed(0.1, (Problem(Reason.TIMEOUT, ""),))
EVERYTHING = Expectations(
    delegation=MATRIX_443,
    signing_keys=(PinnedKey("ed25519:a_1"),),
    software=parse_expected_software("Synapse 1.163"),
    issuer="CN=Test Intermediate",
    addresses=(ip_network("192.0.2.0/24"),),
)


def as_expected(expected: Expectations, report: Report) -> list[bool]:
    return [comparison.as_expected for comparison in compare(expected, report)]


def with_software(name: str | None, version: str | None) -> EndpointReport:
    return replace(healthy_at("192.0.2.2"), version=Passed(0.03, Software(name, version)))


def issued_by(organization: str | None) -> EndpointReport:
    session = tls_session("matrix.example.org")
    certificate = replace(session.certificate, issuer_organization=organization)
    return replace(healthy_at("192.0.2.2"), tls=Passed(0.02, replace(session, certificate=certificate)))


def publishing(**keys: str) -> EndpointReport:
    published = {f"ed25519:{version}": key for version, key in keys.items()}
    return with_keys(healthy_at("192.0.2.2"), SigningKeys(published, ENDED_AT))


def test_what_is_expected_and_found_is_told() -> None:
    """In the order of the configuration."""
    assert compare(EVERYTHING, delegated_by_well_known()) == (
        Comparison(Expectation.DELEGATION, "matrix.example.org:443", "matrix.example.org:443", as_expected=True),
        Comparison(Expectation.SIGNING_KEYS, "ed25519:a_1", "ed25519:a_1 a2V5", as_expected=True),
        Comparison(Expectation.SOFTWARE, "Synapse 1.163", "Synapse 1.163.2", as_expected=True),
        Comparison(Expectation.ISSUER, "CN=Test Intermediate", "CN=Test Intermediate", as_expected=True),
        Comparison(Expectation.ADDRESSES, "192.0.2.0/24", "192.0.2.1", as_expected=True),
    )


def test_nothing_is_compared_where_nothing_is_expected_or_found() -> None:
    """A stage that failed, or that was not reached, has found nothing to compare."""
    report = delegated_by_well_known()
    assert compare(Expectations(), report) == ()
    broken = replace(report.endpoints[0], tls=FAILED, version=FAILED, keys=SKIPPED)
    assert compare(replace(EVERYTHING, delegation=None), replace(report, dns=FAILED, endpoints=(broken,))) == ()
    assert compare(EVERYTHING, failed_srv_lookup()) == ()
    assert [each.expectation for each in compare(EVERYTHING, nothing_resolved())] == [Expectation.DELEGATION]


def test_an_endpoint_that_failed_does_not_hide_the_others() -> None:
    failed = replace(healthy_at("192.0.2.3"), version=FAILED)
    assert as_expected(
        Expectations(software=parse_expected_software("Dendrite")), with_endpoints(failed, healthy_at("192.0.2.2"))
    ) == [False]


def test_a_delegation_must_lead_to_the_expected_target_only() -> None:
    """Another port is another target, and a second target is one too many."""
    assert as_expected(Expectations(MATRIX_443), delegated_by_well_known()) == [True]
    assert as_expected(Expectations(Target("matrix.example.org", 8448)), delegated_by_well_known()) == [False]
    assert as_expected(Expectations(Target("one.example.org", 8448)), two_families()) == [False]


@pytest.mark.parametrize(
    ("endpoint", "pinned", "matches"),
    [
        (publishing(a=encode_base64(KEY)), [PinnedKey("ed25519:a")], True),
        (publishing(a=encode_base64(KEY)), [PinnedKey("ed25519:a"), PinnedKey("ed25519:next")], True),
        (publishing(a=encode_base64(KEY), b=encode_base64(KEY)), [PinnedKey("ed25519:a")], False),
        (publishing(a=encode_base64(KEY)), [PinnedKey("ed25519:a", encode_base64(KEY))], True),
        (publishing(a="-_v7" * 10 + "-_s="), [PinnedKey("ed25519:a", encode_base64(KEY))], True),
        (publishing(a=encode_base64(OTHER_KEY)), [PinnedKey("ed25519:a", encode_base64(KEY))], False),
    ],
)
def test_every_valid_key_must_be_pinned(endpoint: EndpointReport, pinned: list[PinnedKey], *, matches: bool) -> None:
    """A key to come may be pinned too. How a key is written in base64 does not matter, its bytes do."""
    assert as_expected(Expectations(signing_keys=tuple(pinned)), with_endpoints(endpoint)) == [matches]


@pytest.mark.parametrize(
    ("written", "name", "version", "matches"),
    [
        ("synapse", "Synapse", "1.163.2", True),
        ("Synapse 1.163", "Synapse", "1.163.2", True),
        ("Synapse 1.163.2", "Synapse", "1.163.2 (b=main)", True),
        ("Synapse 1.16", "Synapse", "1.163.2", False),
        ("Synapse 1.163.2", "Synapse", "1.163.2rc1", False),
        ("Synapse 1", "Synapse", None, False),
        ("Synapse", "Dendrite", "0.14", False),
        ("Synapse", None, None, False),
        ("My Server", "My Server", "1", True),
    ],
)
def test_the_software_has_the_name_and_begins_with_the_version(
    written: str, name: str | None, version: str | None, *, matches: bool
) -> None:
    expected = Expectations(software=parse_expected_software(written))
    assert as_expected(expected, with_endpoints(with_software(name, version))) == [matches]


def test_software_without_a_name_is_shown_as_such() -> None:
    (comparison,) = compare(
        Expectations(software=parse_expected_software("Synapse")), with_endpoints(with_software(None, None))
    )
    assert str(comparison) == "software unexpected: expected Synapse, found no name"


def test_the_issuer_is_a_common_name_or_an_organization() -> None:
    """Every endpoint must have a certificate of it. Intermediates of an authority change more often than its name."""
    report = with_endpoints(issued_by("Let's Encrypt"))
    assert as_expected(Expectations(issuer="Let's Encrypt"), report) == [True]
    assert as_expected(Expectations(issuer="CN=Test Intermediate"), report) == [True]
    (comparison,) = compare(Expectations(issuer="Elsewhere"), report)
    assert str(comparison) == "issuer unexpected: expected Elsewhere, found CN=Test Intermediate (Let's Encrypt)"
    mixed = with_endpoints(issued_by("Let's Encrypt"), issued_by(None))
    assert as_expected(Expectations(issuer="Let's Encrypt"), mixed) == [False]


def test_every_address_must_be_expected() -> None:
    """Addresses of the other IP family are in no network of this one."""
    dual = two_families()
    networks = {ip_network(endpoint.endpoint.ip) for endpoint in dual.endpoints}
    assert as_expected(Expectations(addresses=tuple(networks)), dual) == [True]
    assert as_expected(Expectations(addresses=(ip_network("0.0.0.0/0"),)), dual) == [False]
    assert as_expected(Expectations(addresses=(ip_network("0.0.0.0/0"), ip_network("::/0"))), dual) == [True]


def test_what_a_server_says_is_short_and_printable() -> None:
    """However many keys it publishes, and whatever its version contains."""
    many = publishing(**{f"a{number}": encode_base64(KEY) for number in range(100)})
    (keys,) = compare(Expectations(signing_keys=(PinnedKey("ed25519:x"),)), with_endpoints(many))
    assert keys.found.endswith(" and 92 more")
    hostile = with_endpoints(with_software("\x1b[31m" + "x" * 10_000, "\n"))
    (software,) = compare(Expectations(software=parse_expected_software("Synapse")), hostile)
    assert software.found.isprintable()
    assert len(software.found) <= 120
