"""What each metric family says of a server: pure readings of its state. `metrics` says which family takes which."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from exporter.judging import verdict
from exporter.judging.verdict import StageVerdict
from exporter.model.enums import IPFamily, SrvService, Stage
from exporter.model.findings import Certificate, TlsSession
from exporter.model.outcomes import found
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.reports.server_state import ServerState

_MAX_LABEL_CHARACTERS = 64  # of text that a remote server chose

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""The values of the labels beside `server_name`, in the order of the family's labels, and the value."""
Sampler: TypeAlias = Callable[[ServerState], Iterator[Sample]]


# ---------------------------------------------------------------- kinds of readings


def of_state(read: Callable[[ServerState], float | None]) -> Sampler:
    """One sample from the moment on in which the server is watched; none where `read` finds nothing."""

    def reading(state: ServerState) -> Iterator[Sample]:
        if (value := read(state)) is not None:
            yield (), value

    return reading


def of_counter(read: Callable[[ServerState], float | None]) -> Sampler:
    """One sample from the first result on; none where `read` finds nothing."""
    return of_state(lambda state: read(state) if state.probes else None)


def of_report(read: Callable[[Report], float | None]) -> Sampler:
    """One sample of the latest report; none where `read` finds nothing."""
    return of_state(lambda state: read(state.report) if state.report else None)


def samples_of_report(read: Callable[[Report], Iterable[Sample]]) -> Sampler:
    """Any number of samples of the latest report."""

    def reading(state: ServerState) -> Iterator[Sample]:
        if state.report:
            yield from read(state.report)

    return reading


def infos_of_report(read: Callable[[Report], Iterable[tuple[str, ...]]]) -> Sampler:
    """The value 1 for each distinct set of labels: a series given twice would spoil the whole scrape."""
    return samples_of_report(lambda report: ((labels, 1) for labels in dict.fromkeys(read(report))))


def by_stage(read: Callable[[StageVerdict], float]) -> Sampler:
    return samples_of_report(lambda report: _stage_samples(report, read))


def _stage_samples(report: Report, read: Callable[[StageVerdict], float]) -> Iterator[Sample]:
    return (((stage,), read(seen)) for stage, seen in verdict.stages(report).items())


def by_connection(read: Callable[[tuple[TlsSession, ...]], float]) -> Sampler:
    return samples_of_report(
        lambda report: (((connection,), read(seen)) for connection, seen in verdict.tls_sessions(report).items())
    )


def by_family(read: Callable[[tuple[int, int]], int]) -> Sampler:
    """Both families as soon as addresses were asked for: that there are 0 of one is a fact."""

    def of_report(report: Report) -> Iterator[Sample]:
        counts = verdict.healthy_by_family(report)
        if counts or Stage.DNS in verdict.stages(report):
            for family in IPFamily:
                yield (family,), read(counts.get(family, (0, 0)))

    return samples_of_report(of_report)


# ---------------------------------------------------------------- readings of one family


def last_success(state: ServerState) -> float | None:
    return state.last_success.timestamp() if state.last_success else None


def duration(report: Report) -> float | None:
    return None if report.timings_unreliable else report.seconds


def stage_durations(report: Report) -> Iterable[Sample]:
    return () if report.timings_unreliable else _stage_samples(report, lambda seen: seen.seconds)


def failures(report: Report) -> Iterator[tuple[str, ...]]:
    for located in verdict.problems(report):
        yield located.stage, located.problem.reason


def warnings(state: ServerState) -> Iterator[Sample]:
    if state.report:
        for warning in dict.fromkeys(located.warning for located in state.warnings()):
            yield (warning,), 1.0


def delegation(report: Report) -> Iterator[tuple[str, ...]]:
    for target in report.route.targets:
        yield report.route.method, str(target)


def delegation_as_expected(state: ServerState) -> float | None:
    expected = state.watched.expected_delegation
    return verdict.leads_only_to(state.report, expected) if state.report and expected else None


def well_known_cache(report: Report) -> float | None:
    answer = found(report.well_known)
    return answer.cache_seconds if answer else None


def srv_records(report: Report) -> Iterator[Sample]:
    if srv := found(report.srv):
        for service in SrvService:
            if service in srv.records:
                yield (service,), len(srv.records[service])


def _first_leaf(seen: tuple[TlsSession, ...]) -> Certificate:
    return verdict.first_to_expire(tls.certificate for tls in seen)


def not_after(seen: tuple[TlsSession, ...]) -> float:
    return _first_leaf(seen).not_after.timestamp()


def not_before(seen: tuple[TlsSession, ...]) -> float:
    return _first_leaf(seen).not_before.timestamp()


def chain_not_after(seen: tuple[TlsSession, ...]) -> float:
    return min(tls.certificate.chain_not_after for tls in seen).timestamp()


def all_valid(seen: tuple[TlsSession, ...]) -> float:
    return all(tls.certificate.valid for tls in seen)


def certificates(report: Report) -> Iterator[tuple[str, ...]]:
    for connection, seen in verdict.tls_sessions(report).items():
        leaf = _first_leaf(seen)
        yield connection, printable(leaf.issuer, _MAX_LABEL_CHARACTERS), leaf.fingerprint_sha256


def tls_versions(report: Report) -> Iterator[tuple[str, ...]]:
    for connection, seen in verdict.tls_sessions(report).items():
        for tls in seen:
            yield connection, tls.tls_version


def software(report: Report) -> Iterator[tuple[str, ...]]:
    if seen := verdict.software(report):
        yield tuple(printable(text or "", _MAX_LABEL_CHARACTERS) for text in (seen.name, seen.version))


def signing_keys(report: Report) -> float | None:
    published = verdict.signing_keys(report)
    return len(published.keys) if published else None


def keys_valid_until(report: Report) -> float | None:
    published = verdict.signing_keys(report)
    return published.valid_until.timestamp() if published else None
