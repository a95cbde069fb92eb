"""What counts as a change of a server, and what does not."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

from exporter.history.changes import Observation, Subject, observe
from exporter.model.addresses import Endpoint
from exporter.model.findings import Delegation, Resolution, SigningKeys, Software
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from tests.history.sequences import good
from tests.sample_reports import ENDED_AT, MATRIX_443, healthy_at, with_endpoints, with_keys

UNTIL = ENDED_AT + timedelta(days=1)


def changes(*reports: Report, apart: timedelta = timedelta(minutes=5)) -> list[tuple[Subject, str, str]]:
    """Return what changed in these reports of a server, one after the other."""
    known: Mapping[Subject, Observation] = {}
    found = []
    for number, report in enumerate(reports):
        known, changed = observe(known, replace(report, ended_at=ENDED_AT + number * apart))
        found += [(each.subject, each.before, each.after) for each in changed]
    return found


def at_addresses(*ips: str, partial: bool = False) -> Report:
    """Return a report of a server whose name leads to these addresses."""
    endpoints = tuple(Endpoint(MATRIX_443, ip_address(ip)) for ip in ips)
    lookups = (Problem(Reason.DNS_TIMEOUT, "no answer"),) if partial else ()
    resolution = Resolution(endpoints, partial_lookups=lookups)
    return replace(with_endpoints(*map(healthy_at, ips)), dns=Passed(0.01, resolution))


def running(ip: str, version: str) -> EndpointReport:
    return replace(healthy_at(ip), version=Passed(0.01, Software("Synapse", version)))


def silent(ip: str) -> EndpointReport:
    refused = Problem(Reason.CONNECT_REFUSED, "refused")
    return EndpointReport(Endpoint(MATRIX_443, ip_address(ip)), Failed(0.01, (refused,)))


def with_key(*keys: str) -> Report:
    published = SigningKeys({f"ed25519:{key}": key for key in keys}, UNTIL)
    return with_endpoints(with_keys(healthy_at("192.0.2.1"), published))


def test_the_first_report_changes_nothing() -> None:
    assert changes(good(), good()) == []


def test_a_well_known_that_was_late_changes_nothing() -> None:
    """Without it, discovery leads to the server name itself, where another machine may be."""
    late: Failed[Delegation] = Failed(1.0, (Problem(Reason.HTTP_TIMEOUT, "no answer in time"),))
    elsewhere = replace(at_addresses("192.0.2.2"), well_known=late)
    assert changes(at_addresses("192.0.2.1"), elsewhere, at_addresses("192.0.2.1")) == []


def test_a_new_key_is_a_change_and_so_is_its_return() -> None:
    """A stolen key may be used for an hour only."""
    assert changes(with_key("a"), with_key("b"), with_key("a", "b")) == [
        (Subject.SIGNING_KEYS, "ed25519:a a", "ed25519:b b"),
        (Subject.SIGNING_KEYS, "ed25519:b b", "ed25519:a a, ed25519:b b"),
    ]


def test_an_endpoint_that_does_not_answer_is_not_a_change() -> None:
    """What it would say is unknown. If the other one says something new, that is a change."""
    both = with_endpoints(running("192.0.2.1", "1"), running("192.0.2.2", "2"))
    one = with_endpoints(running("192.0.2.1", "1"), silent("192.0.2.2"))
    updated = with_endpoints(running("192.0.2.1", "3"), silent("192.0.2.2"))
    assert changes(both, one, both) == []
    assert changes(both, updated) == [(Subject.SOFTWARE, "Synapse 1, Synapse 2", "Synapse 3")]
    assert changes(both, with_endpoints(running("192.0.2.1", "1"))) == [
        (Subject.SOFTWARE, "Synapse 1, Synapse 2", "Synapse 1")
    ]


def test_a_move_to_another_address_is_a_change() -> None:
    """A day later, the way back is one too."""
    one, other = at_addresses("192.0.2.1"), at_addresses("192.0.2.2")
    moved = (Subject.ADDRESSES, "192.0.2.1", "192.0.2.2")
    assert changes(one, other) == [moved]
    assert changes(one, *[other] * 30, one, apart=timedelta(hours=1)) == [
        moved,
        (Subject.ADDRESSES, "192.0.2.2", "192.0.2.1"),
    ]


def test_addresses_that_take_turns_are_not_a_change() -> None:
    """Many names lead to some addresses of a pool, and to others every time."""
    pool = [at_addresses(f"192.0.2.{number % 8}", f"192.0.2.{(number + 1) % 8}") for number in range(40)]
    assert len(changes(*pool)) <= 7
    assert changes(*pool[:8], *pool)[7:] == []


def test_a_family_that_could_not_be_looked_up_is_not_a_change() -> None:
    """However long it lasts."""
    both, one = at_addresses("192.0.2.1", "2001:db8::1"), at_addresses("192.0.2.1", partial=True)
    assert changes(both, *[one] * 30, both, apart=timedelta(hours=1)) == []


def test_texts_are_bounded_and_printable() -> None:
    """A server that publishes a thousand keys, each longer than any, changes nothing but its history."""
    many = [f"{number}\n" + "x" * 1000 for number in range(1000)]
    ((subject, before, after),) = changes(with_key("a"), with_key(*many))
    assert (subject, before) == (Subject.SIGNING_KEYS, "ed25519:a a")
    assert (len(after), after.isprintable()) == (1000, True)
    assert [each[0] for each in changes(with_key(*many), with_key(*many[:-1], "other"))] == [Subject.SIGNING_KEYS]


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    """A hostile name leads to others every time."""
    known: Mapping[Subject, Observation] = {}
    for number in range(100):
        known, _ = observe(known, at_addresses(f"192.0.2.{number}", f"2001:db8::{number}"))
    assert len(known[Subject.ADDRESSES].earlier) == 32
