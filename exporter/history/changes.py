"""What changed about a server between two good observations. Pure."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from exporter.judging import verdict
from exporter.model.names import ServerName
from exporter.model.outcomes import Passed, found
from exporter.model.report import EndpointReport, Report
from exporter.model.sanitize import printable

_MAX_CHARACTERS: Final = 1000  # of a change, before and after
_MAX_ITEMS = 32  # of one observation: servers with more addresses or keys are not real
_MAX_ITEM_CHARACTERS = 200
_ROTATION = timedelta(days=1)  # what comes back within it is not new


class Subject(StrEnum):
    """What may change about a server, in the order in which it is reported."""

    DELEGATION = "delegation"
    CERTIFICATE = "certificate"
    SIGNING_KEYS = "signing_keys"
    SOFTWARE = "software"
    ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class Change:
    """One subject of a server that changed between two good observations. The texts are printable and bounded."""

    server_name: ServerName
    at: datetime
    """When the later observation was made, in UTC."""
    subject: Subject
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What was last observed of a subject. The items are printable, bounded, distinct and sorted."""

    items: tuple[str, ...]
    earlier: Mapping[str, datetime] = field(default_factory=dict)
    """Other items of the past day, with the time from which on each was missing. Only of subjects that rotate."""

    def __str__(self) -> str:
        return printable(", ".join(self.items), _MAX_CHARACTERS)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """What one report shows of a subject."""

    items: frozenset[str]
    complete: bool
    """Whether everything that could show more of it has answered."""


def observe(
    known: Mapping[Subject, Observation], report: Report
) -> tuple[Mapping[Subject, Observation], tuple[Change, ...]]:
    """Return what is known after a report, and what the report changed.

    A subject that the report does not show, because something failed on the way to it, remains as it is known.
    """
    observed, changes = dict(known), []
    for subject, sighting in _sightings(report):
        before = known.get(subject)
        after, is_new = _follow(before, sighting, report.ended_at, rotates=subject in _ROTATING)
        observed[subject] = after
        if before and is_new:
            changes.append(Change(report.server_name, report.ended_at, subject, str(before), str(after)))
    return (known if observed == known else observed), tuple(changes)


def _follow(known: Observation | None, seen: _Sighting, at: datetime, *, rotates: bool) -> tuple[Observation, bool]:
    """Return the observation after a sighting, and whether it is a change. There are three cases:

    - The subject rotates, as the addresses behind a DNS name do: it changes when something appears that was not there
      during the past day.
    - The sighting is complete: it changes when anything appears or disappears.
    - An endpoint or a lookup did not answer: it changes when something appears. What is missing may still be there.
    """
    if known and not known.earlier and seen.items == set(known.items):
        return known, False  # as nearly always: the rest takes four times as long
    items = _bounded(seen.items)
    if known is None:
        return Observation(items), True
    unknown = set(items) - set(known.items)
    if rotates:
        unknown -= {item for item, missing_since in known.earlier.items() if at - missing_since < _ROTATION}
    is_new = bool(unknown) or (seen.complete and not rotates and items != known.items)
    if not is_new and not seen.complete:
        return known, False
    after = Observation(items, _earlier(known, items, at) if rotates else {})
    return (known if after == known else after), is_new


def _earlier(known: Observation, items: tuple[str, ...], at: datetime) -> Mapping[str, datetime]:
    """Return what is missing now and was there during the past day; if it is too much, what was there last."""
    missing = {**known.earlier, **dict.fromkeys(known.items, at)}
    recent = sorted(
        ((since, item) for item, since in missing.items() if item not in items and at - since < _ROTATION), reverse=True
    )
    return {item: since for since, item in recent[:_MAX_ITEMS]}


def _bounded(items: Iterable[str]) -> tuple[str, ...]:
    """Return the items sorted. What is cut off is represented by a digest, so that its changes are changes too."""
    whole = sorted(items)
    first = [_bounded_item(item) for item in whole[:_MAX_ITEMS]]
    rest = whole[_MAX_ITEMS:]
    return (*first, f"and {len(rest)} more ({_digest(', '.join(rest))})") if rest else tuple(first)


def _bounded_item(item: str) -> str:
    short = printable(item, _MAX_ITEM_CHARACTERS)
    return short if short == item else f"{short} ({_digest(item)})"


def _digest(text: str) -> str:
    return f"SHA-256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}…"


# ---------------------------------------------------------------- what a report shows of each subject


def _sightings(report: Report) -> Iterator[tuple[Subject, _Sighting]]:
    """Yield nothing if the well-known did not answer in time: what is shown then may be of another machine."""
    if verdict.well_known_ran_out_of_time(report):
        return
    for subject, see in _SIGHT.items():
        sighting = see(report)
        if sighting.items:
            yield subject, sighting


def _delegation(report: Report) -> _Sighting:
    """Nothing is shown if no target was found: a failed lookup is not a change of the delegation."""
    route = report.route
    return _Sighting(frozenset(f"{target} ({route.method})" for target in route.targets), complete=True)


def _addresses(report: Report) -> _Sighting:
    """Those without a route of the exporter's count, too: they are the server's."""
    resolution = found(report.dns)
    if resolution is None:
        return _Sighting(frozenset(), complete=False)
    ips = frozenset(str(endpoint.ip) for endpoint in (*resolution.endpoints, *resolution.without_route))
    return _Sighting(ips, _lookups_are_complete(report))


def _lookups_are_complete(report: Report) -> bool:
    resolution = found(report.dns)
    return resolution is not None and not (resolution.partial_lookups or resolution.unresolved)


def _at_endpoints(read: Callable[[EndpointReport], Iterable[str] | None]) -> Callable[[Report], _Sighting]:
    """Return what sees the items of all endpoints. `read` returns None if an endpoint does not show them."""

    def see(report: Report) -> _Sighting:
        shown = [read(endpoint) for endpoint in report.endpoints]
        items = frozenset(item for each in shown if each is not None for item in each)
        return _Sighting(items, complete=None not in shown and _lookups_are_complete(report))

    return see


def _certificate(endpoint: EndpointReport) -> Iterable[str] | None:
    session = found(endpoint.tls)
    leaf = session.certificate if session else None
    return [f"{leaf.issuer}, SHA-256 {leaf.fingerprint_sha256}"] if leaf else None


def _signing_keys(endpoint: EndpointReport) -> Iterable[str] | None:
    """Only keys that are valid count: anybody could publish others."""
    keys = endpoint.keys.found if isinstance(endpoint.keys, Passed) else None
    return [f"{key_id} {key}" for key_id, key in keys.keys.items()] if keys else None


def _software(endpoint: EndpointReport) -> Iterable[str] | None:
    software = found(endpoint.version)
    return [" ".join(filter(None, (software.name, software.version))) or "unnamed"] if software else None


_SIGHT: Final[Mapping[Subject, Callable[[Report], _Sighting]]] = {
    Subject.DELEGATION: _delegation,
    Subject.CERTIFICATE: _at_endpoints(_certificate),
    Subject.SIGNING_KEYS: _at_endpoints(_signing_keys),
    Subject.SOFTWARE: _at_endpoints(_software),
    Subject.ADDRESSES: _addresses,
}
_ROTATING: Final = frozenset({Subject.CERTIFICATE, Subject.ADDRESSES})
"""Behind one name or address there may be several machines, of which every probe meets others."""
