"""The way from a server name to its endpoints, step by step, with what each found and how long it took. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exporter.judging import peers
from exporter.model.enums import Stage
from exporter.model.findings import Delegation, SrvRecords
from exporter.model.outcomes import Failed, Outcome, Passed, Problem, Skipped
from exporter.model.report import EndpointReport, NotaryResult, Report
from exporter.reports import phrases
from exporter.reports.summary import State

_DEEP_STAGES = (
    Stage.PROXY,
    Stage.NOTARY,
    Stage.OUTBOUND,
)  # made more rarely, so that they have no place in the time of the probe


@dataclass(frozen=True, slots=True)
class Bar:
    """When a step ran, in percent of the whole probe."""

    start: float
    length: float


@dataclass(frozen=True, slots=True)
class Step:
    """One stage on the way."""

    stage: Stage
    state: State
    """FULL if it passed, NONE if it failed, UNKNOWN if it was skipped."""
    word: str
    """The outcome in one word."""
    seconds: float | None
    bar: Bar | None
    findings: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    kept_until: datetime | None = None
    """Until when a peer that sees this now may keep it."""


@dataclass(frozen=True, slots=True)
class EndpointWay:
    """The steps at one endpoint."""

    address: str
    target: str
    """Empty if it is the same as the address."""
    state: State
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Endpoints, and who goes there if it is not where the specification leads."""

    names: str
    endpoints: tuple[EndpointWay, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """The whole way."""

    path: tuple[str, ...]
    """The steps that change where peers go, from the server name to the endpoints."""
    names: str
    """The Host header, and the name that the certificate must be valid for."""
    steps: tuple[Step, ...]
    branches: tuple[Branch, ...]
    beyond: tuple[Step, ...]
    """What the notaries return, and whether the server reaches the exporter."""


def way_view(report: Report) -> Way:
    """Return the way of a report."""
    of_discovery = [outcome for _, outcome in report.discovery_outcomes()]
    after_discovery = _seconds(of_discovery)
    detours = peers.detours(report)
    ways = [report.endpoints, *(way.endpoints for _, way in detours)]
    longest = max((_seconds(_of_probe(seen)) for endpoints in ways for seen in endpoints), default=0.0)
    scale = _Scale(report.ended_at, after_discovery + longest)
    return Way(
        tuple(phrases.describe_path(report)),
        phrases.describe_names(report),
        tuple(_discovery_steps(report, scale)),
        (
            _branch("", report.endpoints, scale, after_discovery),
            *(_branch(peers.join_names(names), way.endpoints, scale, after_discovery) for names, way in detours),
        ),
        tuple(_steps_beyond(report, scale)),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """What places a step in the time of the probe."""

    ended_at: datetime
    total: float
    """Seconds from the first step to the end of the last one, if each starts when the one before it ends."""

    def bar(self, start: float, seconds: float) -> Bar | None:
        return Bar(100 * start / self.total, 100 * seconds / self.total) if self.total else None


def _seconds(outcomes: Sequence[Outcome[object]]) -> float:
    return sum(outcome.seconds for outcome in outcomes if not isinstance(outcome, Skipped))


def _of_probe(seen: EndpointReport) -> list[Outcome[object]]:
    return [outcome for _, outcome in seen.probe_outcomes()]


# ---------------------------------------------------------------- steps


def _discovery_steps(report: Report, scale: _Scale) -> Iterator[Step]:
    start = 0.0
    for stage, outcome in report.discovery_outcomes():
        yield _step(stage, outcome, scale, start, phrases.explain_skip(stage, report))
        start += _seconds([outcome])


def _branch(names: str, endpoints: Sequence[EndpointReport], scale: _Scale, start: float) -> Branch:
    return Branch(names, tuple(_endpoint_way(seen, scale, start) for seen in endpoints))


def _endpoint_way(seen: EndpointReport, scale: _Scale, start: float) -> EndpointWay:
    address, target = seen.endpoint.address, str(seen.endpoint.target)
    state = (State.PARTIAL if seen.endpoint.behind_alias else State.FULL) if seen.ok else State.NONE
    return EndpointWay(address, "" if target == address else target, state, tuple(_endpoint_steps(seen, scale, start)))


def _endpoint_steps(seen: EndpointReport, scale: _Scale, start: float) -> Iterator[Step]:
    """Yield the steps that ran, and those that were not reached."""
    for stage, outcome in seen.outcomes():
        inconclusive = stage in _DEEP_STAGES and isinstance(seen.tls, Passed)
        yield _step(stage, outcome, scale, start, "inconclusive" if inconclusive else "not reached")
        start += _seconds([outcome])
    behind = tuple(phrases.describe_keys_behind_bad_certificate(seen.keys_behind_bad_certificate))
    if behind:
        yield Step(Stage.KEYS, State.PARTIAL, "unverified", None, None, behind)


def _step(stage: Stage, outcome: Outcome[object], scale: _Scale, start: float, why_skipped: str) -> Step:
    if isinstance(outcome, Skipped):
        return Step(stage, State.UNKNOWN, "skipped", None, None, (why_skipped,))
    state, word = (State.FULL, _word(outcome.found)) if isinstance(outcome, Passed) else (State.NONE, "failed")
    return Step(
        stage,
        state,
        word,
        outcome.seconds,
        None if stage in _DEEP_STAGES else scale.bar(start, outcome.seconds),
        tuple(phrases.describe_finding(outcome.found, scale.ended_at)),
        outcome.problems if isinstance(outcome, Failed) else (),
        _kept_until(outcome.found, scale.ended_at),
    )


def _word(seen: object) -> str:
    absent = isinstance(seen, Delegation) and not seen.server
    return "none" if absent or (isinstance(seen, SrvRecords) and not seen.decided_by) else "passed"


def _kept_until(seen: object, now: datetime) -> datetime | None:
    """Return None for what peers do not keep, or not for a known time."""
    return now + timedelta(seconds=seen.cache_seconds) if isinstance(seen, Delegation) else None


def _steps_beyond(report: Report, scale: _Scale) -> Iterator[Step]:
    yield from map(_notary_step, report.deep.notaries if report.deep else ())
    if seen := report.outbound:
        why_skipped = phrases.printable_text(f"inconclusive: {seen.inconclusive_because}")
        step = _step(Stage.OUTBOUND, seen.outcome, scale, 0.0, why_skipped)
        yield replace(step, findings=(*step.findings, *phrases.describe_other_families(seen)))


def _notary_step(result: NotaryResult) -> Step:
    notary, outcome = result.notary.text, result.outcome
    match outcome:
        case Skipped():
            why = phrases.printable_text(f"{notary} is inconclusive: {result.inconclusive_because}")
            return Step(Stage.NOTARY, State.UNKNOWN, "skipped", None, None, (why,))
        case Passed():
            return Step(Stage.NOTARY, State.FULL, "passed", outcome.seconds, None, (f"{notary} returns the same keys",))
        case Failed(problems=problems):
            return Step(Stage.NOTARY, State.NONE, "failed", outcome.seconds, None, (notary,), problems)
