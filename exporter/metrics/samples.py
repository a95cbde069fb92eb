"""The samples of each metric family, as pure functions of a server's state. `families` says which function it uses."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from exporter.history.changes import Subject
from exporter.judging import expectations, peers, verdict
from exporter.judging.verdict import StageVerdict
from exporter.model.enums import IPFamily, SrvService, Stage
from exporter.model.findings import Certificate, TlsSession
from exporter.model.outcomes import found
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.reports.server_state import ServerState

_MAX_LABEL_CHARACTERS = 64  # of text that a remote server chose

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""The values of the labels except `server_name`, in the order of the family's labels, and the value of the sample."""
Sampler: TypeAlias = Callable[[ServerState], Iterator[Sample]]


# ---------------------------------------------------------------- samplers


def from_state(read: Callable[[ServerState], float | None]) -> Sampler:
    """Return a sampler with one sample for every watched server; none where `read` returns None."""

    def sample(state: ServerState) -> Iterator[Sample]:
        if (value := read(state)) is not None:
            yield (), value

    return sample


def counter(read: Callable[[ServerState], float | None]) -> Sampler:
    """Return a sampler with one sample from the first result on; none where `read` returns None."""
    return from_state(lambda state: read(state) if state.probes else None)


def from_report(read: Callable[[Report], float | None]) -> Sampler:
    """Return a sampler with one sample of the latest report; none where `read` returns None."""
    return from_state(lambda state: read(state.report) if state.report else None)


def many_from_report(read: Callable[[Report], Iterable[Sample]]) -> Sampler:
    """Return a sampler with any number of samples of the latest report."""

    def sample(state: ServerState) -> Iterator[Sample]:
        if state.report:
            yield from read(state.report)

    return sample


def info_from_report(read: Callable[[Report], Iterable[tuple[str, ...]]]) -> Sampler:
    """Return a sampler with the value 1 for each distinct set of labels: a duplicate series would fail the scrape."""
    return many_from_report(lambda report: ((labels, 1) for labels in dict.fromkeys(read(report))))


def by_stage(read: Callable[[StageVerdict], float]) -> Sampler:
    return many_from_report(lambda report: _stage_samples(report, read))


def _stage_samples(report: Report, read: Callable[[StageVerdict], float]) -> Iterator[Sample]:
    return (((stage,), read(stage_verdict)) for stage, stage_verdict in verdict.stages(report).items())


def by_connection(read: Callable[[tuple[TlsSession, ...]], float]) -> Sampler:
    return many_from_report(
        lambda report: (
            ((connection,), read(sessions)) for connection, sessions in verdict.tls_sessions(report).items()
        )
    )


def by_family(read: Callable[[tuple[int, int]], int]) -> Sampler:
    """Return a sampler with one sample for each address family, once addresses were looked up: 0 is a result too.

    A family that the exporter's own machine does not have has no sample.
    """

    def samples_of(report: Report) -> Iterator[Sample]:
        counts = verdict.healthy_by_family(report)
        if counts or Stage.DNS in verdict.stages(report):
            without_route = verdict.families_without_route(report) - counts.keys()
            for family in (each for each in IPFamily if each not in without_route):
                yield (family,), read(counts.get(family, (0, 0)))

    return many_from_report(samples_of)


# ---------------------------------------------------------------- values of one family


def peer_success(report: Report) -> Iterator[Sample]:
    for implementation, of in peers.verdicts(report).items():
        yield (implementation,), of.federates


def last_success(state: ServerState) -> float | None:
    return state.last_success.timestamp() if state.last_success else None


def duration(report: Report) -> float | None:
    return None if report.timings_unreliable else report.seconds


def stage_durations(report: Report) -> Iterable[Sample]:
    return () if report.timings_unreliable else _stage_samples(report, lambda stage: stage.seconds)


def failures(report: Report) -> Iterator[tuple[str, ...]]:
    for located in verdict.problems(report):
        yield located.stage, located.problem.reason


def warnings(state: ServerState) -> Iterator[Sample]:
    if state.report:
        for warning in dict.fromkeys(located.warning for located in state.warnings):
            yield (warning,), 1.0


def outbound_timestamp(report: Report) -> float | None:
    return report.outbound.made_at.timestamp() if report.outbound and report.outbound.asked else None


def outbound(report: Report) -> Iterator[tuple[str, ...]]:
    """Over every IP family that is known to work, if the exporter has names for them."""
    look = report.outbound
    outcomes = (look.outcome, *look.by_family.values()) if look else ()
    yield from dict.fromkeys((came.method, came.ip_family or "") for each in outcomes if (came := found(each)))


def delegation(report: Report) -> Iterator[tuple[str, ...]]:
    for target in report.route.targets:
        yield report.route.method, str(target)


def changes(state: ServerState) -> Iterator[Sample]:
    if state.probes:
        for subject in Subject:
            yield (subject,), state.change_counts.get(subject, 0)


def incident_start(state: ServerState) -> float | None:
    incident = state.memory.incident if state.report else None
    return incident.began.timestamp() if incident else None


def as_expected(state: ServerState) -> Iterator[Sample]:
    if state.report:
        for comparison in expectations.compare(state.watched.expected, state.report):
            yield (comparison.expectation,), comparison.as_expected


def well_known_cache(report: Report) -> float | None:
    delegation = found(report.well_known)
    return delegation.cache_seconds if delegation else None


def srv_records(report: Report) -> Iterator[Sample]:
    if srv := found(report.srv):
        for service in SrvService:
            if service in srv.records:
                yield (service,), len(srv.records[service])


def _first_leaf(sessions: tuple[TlsSession, ...]) -> Certificate:
    return verdict.first_to_expire(session.certificate for session in sessions)


def not_after(sessions: tuple[TlsSession, ...]) -> float:
    return _first_leaf(sessions).not_after.timestamp()


def not_before(sessions: tuple[TlsSession, ...]) -> float:
    return _first_leaf(sessions).not_before.timestamp()


def chain_not_after(sessions: tuple[TlsSession, ...]) -> float:
    return min(session.certificate.chain_not_after for session in sessions).timestamp()


def all_valid(sessions: tuple[TlsSession, ...]) -> float:
    return all(session.certificate.valid for session in sessions)


def certificates(report: Report) -> Iterator[tuple[str, ...]]:
    for connection, sessions in verdict.tls_sessions(report).items():
        leaf = _first_leaf(sessions)
        yield connection, printable(leaf.issuer, _MAX_LABEL_CHARACTERS), leaf.fingerprint_sha256


def tls_versions(report: Report) -> Iterator[tuple[str, ...]]:
    for connection, sessions in verdict.tls_sessions(report).items():
        for session in sessions:
            yield connection, session.tls_version


def software(report: Report) -> Iterator[tuple[str, ...]]:
    if reported := verdict.software(report):
        yield tuple(printable(text or "", _MAX_LABEL_CHARACTERS) for text in (reported.name, reported.version))


def signing_keys(report: Report) -> float | None:
    published = verdict.signing_keys(report)
    return len(published.keys) if published else None


def keys_valid_until(report: Report) -> float | None:
    published = verdict.signing_keys(report)
    return published.valid_until.timestamp() if published else None
