"""The result of a check for Nagios and compatible systems, as the Monitoring Plugins development guidelines have it.

https://www.monitoring-plugins.org/doc/guidelines.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from exporter.judging import expectations, peers, remedies, verdict
from exporter.judging.verdict import Federation
from exporter.metrics.rules.values import defaults
from exporter.model.findings import Certificate
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.model.servers import Expectations, WatchedServer
from exporter.reports.summary import State, find_causes

_SERVICE: Final = "MATRIX FEDERATION"
_MAX_CHARACTERS = 1000  # of a line: NRPE passes on 1 KiB in its older versions
_MAX_REMEDIES = 10  # lines after the first
_DAY = 86400


class Status(IntEnum):
    """The exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST_LAST: Final = (Status.OK, Status.UNKNOWN, Status.WARNING, Status.CRITICAL)
_OF_FEDERATION: Final = {
    Federation.FULL: (Status.OK, "federates"),
    Federation.PARTIAL: (Status.WARNING, "federates only in part"),
    Federation.NONE: (Status.CRITICAL, "does not federate"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a plugin prints, and the status that it exits with."""

    status: Status
    text: str


def unknown(reason: str) -> Result:
    """Return the result of a check that found nothing out."""
    first, *rest = reason.splitlines()
    return _result(Status.UNKNOWN, first, (), rest)


def summarize(reports: Sequence[Report], servers: Mapping[ServerName, WatchedServer]) -> Result:
    """Return the result for all servers: the worst of them. There must be at least one."""
    judged = [(report.server_name.text, *_judge(report, servers[report.server_name].expected)) for report in reports]
    worst = max(judged, key=lambda each: _WORST_LAST.index(each[1]))
    name, status, sentence = worst
    several = len(reports) > 1
    good = sum(status is Status.OK for _, status, _ in judged)
    counts = f"{good} of {len(reports)} servers are fine; " if several else ""
    data = (each for report in reports for each in _performance_data(report, several=several))
    others = (f"{each[0]} {each[2]}" for each in judged if each is not worst)
    return _result(status, f"{counts}{name} {sentence}", data, [*_remedies(reports), *others])


def _result(status: Status, sentence: str, data: Iterable[str], details: Iterable[str]) -> Result:
    """The bar separates the sentence from the performance data, so it cannot stand in a text."""
    first, *rest = (printable(line, _MAX_CHARACTERS).replace("|", "/") for line in (sentence, *details))
    performance = " ".join(data)
    lines = [f"{_SERVICE} {status.name}: {first}{f' | {performance}' if performance else ''}", *rest]
    return Result(status, "".join(f"{line}\n" for line in lines))


# ---------------------------------------------------------------- one server


def _judge(report: Report, expected: Expectations) -> tuple[Status, str]:
    """Return the status of a server and the rest of a sentence about it. There are five cases:

    - The exporter lacked something: the status is unknown.
    - The server does not federate, or only in part.
    - It federates, and a certificate expires soon: as soon as the alerts on certificates say.
    - It federates, and is not as the configuration expects it.
    - It federates.
    """
    if missing := verdict.missing_resource(report):
        return Status.UNKNOWN, f"could not be checked: this machine ran out of {missing.replace('_', ' ')}"
    if verdict.exporter_lacks_route(report):
        return Status.UNKNOWN, "could not be checked: this machine lacks a route to the server's addresses"
    if failure := verdict.proxy_failure(report):
        return Status.UNKNOWN, f"could not be checked: {failure.detail}"
    federation = verdict.federation(report)
    status, sentence = _OF_FEDERATION[federation]
    if federation is not Federation.FULL:
        found = ", ".join(f"{stage} {reason}" for stage, reason in find_causes(report, State(federation)))
        return status, f"{sentence}: {found}"
    expiry = max((expiry for _, expiry in _expiries(report)), key=lambda each: (each.status, -each.left), default=None)
    if expiry and expiry.status:
        return expiry.status, f"federates, and a certificate expires in {expiry.left:.1f} days"
    if unexpected := [str(each) for each in expectations.compare(expected, report) if not each.as_expected]:
        return Status.WARNING, f"federates, but {'; '.join(unexpected)}"
    return status, sentence


@dataclass(frozen=True, slots=True)
class _Expiry:
    """How long a certificate is still valid, and from when on that is reported. In days."""

    left: float
    warning: float
    critical: float

    @property
    def status(self) -> Status:
        if self.left < self.critical:
            return Status.CRITICAL
        return Status.WARNING if self.left < self.warning else Status.OK


def _expiries(report: Report) -> Iterator[tuple[str, _Expiry]]:
    """Yield the connection and the expiry of each kind of certificate that the server has."""
    for connection, sessions in verdict.tls_sessions(report).items():
        certificate = min((each.certificate for each in sessions), key=lambda each: each.chain_not_after)
        left = (min(certificate.not_after, certificate.chain_not_after) - report.ended_at).total_seconds() / _DAY
        soon, now = (
            _threshold(f"MatrixFederationCertificate{alert}", certificate)
            for alert in ("ExpiringSoon", "ExpiryCritical")
        )
        yield connection, _Expiry(left, soon, now)


def _threshold(alert: str, certificate: Certificate) -> float:
    """Return how many days before the expiry the alert fires."""
    values = defaults().alerts[alert]
    lifetime = (certificate.not_after - certificate.not_before).total_seconds() / _DAY
    return min(float(values["lifetime_ratio"]) * lifetime, float(values["days"]))


def _performance_data(report: Report, *, several: bool) -> Iterator[str]:
    """Yield `'label'=value[unit];[warning];[critical];[minimum]`. `26:` alerts below 26."""
    of = f"{report.server_name.text} " if several else ""
    yield f"'{of}time'={report.seconds:.3f}s;;;0"
    for connection, expiry in _expiries(report):
        yield f"'{of}{connection}_certificate_days'={expiry.left:.1f};{expiry.warning:.1f}:;{expiry.critical:.1f}:"
    healthy = sum(endpoint.ok for endpoint in report.endpoints)
    yield f"'{of}endpoints_healthy'={healthy};;;0;{len(report.endpoints)}"


def _remedies(reports: Sequence[Report]) -> list[str]:
    """Return what stops which implementations, with the remedies, and then the other problems."""
    lines = []
    for report in reports:
        stopping = [(str(each), each.problem) for each in peers.obstacles(report)]
        shown = [problem for _, problem in stopping]
        others = [each for each in verdict.problems(report) if each not in shown]
        lines += [text + (f" {remedies.remedy(report, found)}" if found else "") for text, found in stopping]
        lines += [f"{each.stage} {each.problem.reason}: {remedies.remedy(report, each)}" for each in others]
    return lines[:_MAX_REMEDIES]
