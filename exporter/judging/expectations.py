"""Whether a server is as the configuration expects it. Pure.

Only what a stage found when it passed is compared. An expectation has no result while there is nothing of the kind:
then the failure of the stage says what is wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from exporter.model.addresses import IPAddress, IPNetwork, Target
from exporter.model.findings import Software
from exporter.model.outcomes import Found, Outcome, Passed
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.model.servers import Expectation, Expectations, ExpectedSoftware
from exporter.model.signing_keys import PinnedKey, decode_base64

_MAX_SHOWN = 8  # values; the others are only counted
_MAX_CHARACTERS = 120  # of each, as remote servers choose them


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is expected of a server, and what was found. Both texts are printable."""

    expectation: Expectation
    expected: str
    found: str
    as_expected: bool

    def __str__(self) -> str:
        if self.as_expected:
            return f"{self.expectation} as expected: {self.found}"
        return f"{self.expectation} unexpected: expected {self.expected}, found {self.found}"


class _Issuer(NamedTuple):
    name: str
    organization: str | None

    def __str__(self) -> str:
        return self.name if self.organization in (None, self.name) else f"{self.name} ({self.organization})"


class _Rule(NamedTuple):
    find: Callable[[Report], Iterable[Any]]
    """Yields everything that the report contains of the kind."""
    matches: Callable[[Any, Any], bool]
    """Whether what is expected, the first argument, admits what was found."""


def compare(expected: Expectations, report: Report) -> tuple[Comparison, ...]:
    """Return a comparison for each expectation about something that was found. All that was found must be expected."""
    return tuple(_comparisons(expected, report))


def _comparisons(expected: Expectations, report: Report) -> Iterator[Comparison]:
    for expectation, rule in _RULES.items():
        if alternatives := expected.alternatives(expectation):
            found = tuple(dict.fromkeys(rule.find(report)))
            matching = [any(rule.matches(each, value) for each in alternatives) for value in found]
            if found:
                yield Comparison(expectation, _join(alternatives), _join(found), all(matching))


def _join(values: tuple[object, ...]) -> str:
    shown = ", ".join(printable(_text(value), _MAX_CHARACTERS) for value in values[:_MAX_SHOWN])
    return shown if len(values) <= _MAX_SHOWN else f"{shown} and {len(values) - _MAX_SHOWN} more"


def _text(value: object) -> str:
    match value:
        case Software(name=name, version=version):
            return " ".join(filter(None, (name, version))) or "no name"
        case _:
            return str(value)


# ---------------------------------------------------------------- what was found


def _targets(report: Report) -> Iterable[Target]:
    """Return where peers go, even if that is because the well-known fails. None if discovery ends in a failure."""
    return report.route.targets


def _keys(report: Report) -> Iterator[PinnedKey]:
    for seen in report.endpoints:
        if published := _passed(seen.keys):
            yield from (PinnedKey(key_id, key) for key_id, key in published.keys.items())


def _software(report: Report) -> Iterator[Software]:
    return (software for seen in report.endpoints if (software := _passed(seen.version)))


def _issuers(report: Report) -> Iterator[_Issuer]:
    for seen in report.endpoints:
        if session := _passed(seen.tls):
            yield _Issuer(session.certificate.issuer, session.certificate.issuer_organization)


def _addresses(report: Report) -> Iterator[IPAddress]:
    if resolution := _passed(report.dns):
        yield from (endpoint.ip for endpoint in (*resolution.endpoints, *resolution.without_route))


def _passed(outcome: Outcome[Found]) -> Found | None:
    return outcome.found if isinstance(outcome, Passed) else None


# ---------------------------------------------------------------- what is expected


def _is_target(expected: Target, found: Target) -> bool:
    return expected == found


def _is_key(expected: PinnedKey, found: PinnedKey) -> bool:
    if expected.key_id != found.key_id:
        return False
    return expected.key is None or found.key is None or decode_base64(expected.key) == decode_base64(found.key)


def _is_software(expected: ExpectedSoftware, found: Software) -> bool:
    same_name = expected.name.casefold() == (found.name or "").casefold()
    return same_name and (expected.version is None or _begins_with(found.version or "", expected.version))


def _begins_with(version: str, beginning: str) -> bool:
    """Whether a version begins so, at the end of a part of it: 1.16 is no beginning of 1.163.2."""
    return version.startswith(beginning) and not version[len(beginning) : len(beginning) + 1].isalnum()


def _is_issuer(expected: str, found: _Issuer) -> bool:
    return expected in found


def _is_address(expected: IPNetwork, found: IPAddress) -> bool:
    return found in expected


_RULES: Final = {
    Expectation.DELEGATION: _Rule(_targets, _is_target),
    Expectation.SIGNING_KEYS: _Rule(_keys, _is_key),
    Expectation.SOFTWARE: _Rule(_software, _is_software),
    Expectation.ISSUER: _Rule(_issuers, _is_issuer),
    Expectation.ADDRESSES: _Rule(_addresses, _is_address),
}
