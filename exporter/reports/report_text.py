"""The report as text for people: a tree of stages, with what was found, and a remedy for each problem.

Text from remote servers is never interpreted as markup, and every symbol is accompanied by a word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from itertools import groupby
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text
from rich.tree import Tree

from exporter.judging import expectations, peers, remedies, verdict
from exporter.judging.peers import Obstacle
from exporter.judging.verdict import Federation
from exporter.judging.warnings import ActiveWarning, WarningName, warnings
from exporter.model.addresses import Endpoint
from exporter.model.enums import Stage
from exporter.model.findings import Delegation, SrvRecords, Support
from exporter.model.outcomes import Failed, Outcome, Passed, Skipped, found
from exporter.model.report import DeepLook, EndpointReport, LocatedProblem, NotaryResult, OutboundLook, Report
from exporter.model.servers import NOTHING_EXPECTED, Expectations
from exporter.reports import phrases
from exporter.reports.details import describe_details
from exporter.reports.phrases import printable_text

PLAIN_COLUMNS = 80  # without a terminal
_MIN_COLUMNS = 20  # of a text, even if it is deeply indented
_STAGE_COLUMNS = {"server": 11, "endpoint": 7}  # a branch of the tree is four columns further to the right

_BAR_COLUMNS = 6  # of the slowest stage of a report
_NOT_RUN = f"{'skipped':<{16 + _BAR_COLUMNS}} "  # as wide as the status, the duration and the bar of a stage that ran

_PASSED: Final = Text("✓ ", "green")
_FAILED: Final = Text("✗ ", "bold red")
_SKIPPED: Final = Text("\N{EN DASH} ", "dim")
_WARNING: Final = Text("! ", "yellow")
_REMEDY: Final = Text("remedy: ", "bold")
_ASCII: Final = str.maketrans("✓✗\N{EN DASH}→…▇", "*x->~#")  # each as wide as what it replaces
_INDENT: Final = Text("  ")
_SIGNS: Final = {Federation.FULL: _PASSED, Federation.PARTIAL: _WARNING, Federation.NONE: _FAILED}


@dataclass(frozen=True, slots=True)
class _Line:
    """A text that is wrapped to the right of `lead`. The continuation lines have the style of `lead`."""

    lead: Text
    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = self.lead.cell_len
        lines = self.text.wrap(console, max(_MIN_COLUMNS, options.max_width - indent)) or [Text()]
        for number, text in enumerate(lines):
            line = (Text(" " * indent, self.lead.style) if number else self.lead) + text
            line.rstrip()
            yield _ascii_only(line) if options.ascii_only else line


def _ascii_only(text: Text) -> Text:
    """Replace what a terminal that is limited to ASCII cannot show."""
    replaced = text.copy()
    replaced.plain = text.plain.translate(_ASCII).encode("ascii", "replace").decode()
    return replaced


def build_tree(
    report: Report, delegation_last_seen: datetime | None = None, expected: Expectations = NOTHING_EXPECTED
) -> Tree:
    """Return the report as a tree, which a rich console of any width can print, with or without colours.

    `delegation_last_seen` is when a valid well-known was last seen, if that is known.
    """
    warned = _other_warnings(report, delegation_last_seen)
    root = Tree(Group(*_heading(report, warned)), guide_style="dim")
    for stage, outcome in report.discovery_outcomes():
        root.add(Group(*_server_stage(stage, outcome, report)))
    for seen in report.endpoints:
        _add_endpoint(root, seen, report)
    _add_detours(root, report)
    if report.deep:
        root.add(Group(_deep_look_line(report.deep, report), *_support_lines(report.deep.support)))
        for result in report.deep.notaries:
            root.add(Group(*_notary_stage(result, report)))
    if report.outbound:
        root.add(Group(*_outbound_stage(report.outbound, report)))
    for compared in expectations.compare(expected, report):
        root.add(_Line(_PASSED if compared.as_expected else _WARNING, Text(str(compared))))
    for located in warned:
        root.add(Group(*_warning(located)))
    return root


def render_plain(
    report: Report, delegation_last_seen: datetime | None = None, expected: Expectations = NOTHING_EXPECTED
) -> str:
    """Return the tree as plain text, regardless of the environment variables about terminals."""
    page = StringIO()
    console = Console(file=page, width=PLAIN_COLUMNS, color_system=None, force_terminal=False, _environ={})
    console.print(build_tree(report, delegation_last_seen, expected))
    return page.getvalue()


# ---------------------------------------------------------------- the heading


def _heading(report: Report, warned: Sequence[ActiveWarning]) -> Iterator[_Line]:
    federation = verdict.federation(report)
    verdict_text = f" {_verdict_text(federation, report, warned)}"
    yield _Line(_SIGNS[federation], Text.assemble((printable_text(report.server_name.text), "bold"), verdict_text))
    yield _Line(_INDENT, Text(" → ".join(phrases.describe_path(report))))
    yield _Line(_INDENT, Text(printable_text(phrases.describe_names(report))))
    if federation is Federation.PARTIAL:
        yield from _partial_federation(report)
    elif federation is Federation.NONE:
        yield from _hidden_obstacles(report)


def _verdict_text(federation: Federation, report: Report, warned: Sequence[ActiveWarning]) -> str:
    took, found = f"({phrases.format_duration(report.seconds)})", verdict.problems(report)
    if federation is Federation.NONE:
        stopping = [obstacle.problem for obstacle in peers.obstacles(report) if obstacle.problem]
        causes_first = verdict.in_order(stopping + found)
        return f"does not federate {took}: {', '.join(dict.fromkeys(each.problem.reason for each in causes_first))}"
    troubles = ((len(found), "problem"), (len(warned), "warning"))
    but = " and ".join(phrases.count_of(count, noun) for count, noun in troubles if count)
    federates = "federates" if federation is Federation.FULL else "federates only in part"
    return f"{federates} {took}, with {but}" if but else f"{federates} {took}"


def _partial_federation(report: Report) -> Iterator[_Line]:
    """Yield which implementations do not get through, and whether a reverse proxy is at fault."""
    in_stages = verdict.problems(report)
    for obstacle in peers.obstacles(report):
        yield from _obstacle(_WARNING, obstacle, report)
    if any(located.stage is Stage.PROXY for located in in_stages):
        yield _Line(_INDENT + _WARNING, Text("Lookups work, but joins or messages fail: see the stage proxy."))
    if any(located.stage is Stage.OUTBOUND for located in in_stages):
        yield _Line(_INDENT + _WARNING, Text("It cannot take part in rooms elsewhere: see the stage outbound."))


def _hidden_obstacles(report: Report) -> Iterator[_Line]:
    """Yield what stops implementations without being a problem by the specification, so that no stage shows it."""
    in_stages = verdict.problems(report)
    for obstacle in peers.obstacles(report):
        if obstacle.problem not in in_stages:
            yield from _obstacle(_FAILED, obstacle, report)


def _obstacle(sign: Text, obstacle: Obstacle, report: Report) -> Iterator[_Line]:
    """Yield what stops some implementations, with its remedy unless a stage shows that."""
    yield _Line(_INDENT + sign, Text(printable_text(str(obstacle))))
    if obstacle.problem and obstacle.problem not in verdict.problems(report):
        yield _Line(_INDENT + _INDENT + _REMEDY, Text(remedies.remedy(report, obstacle.problem)))


def summarize(federations: Sequence[Federation]) -> str:
    """Return the last line of several reports."""
    full, partial, none = (federations.count(each) for each in Federation)
    rest = ((partial, "only in part"), (none, "not at all"))
    but = "".join(f", {count} {how}" for count, how in rest if count)
    return f"{full} of {len(federations)} servers federate{but}."


# ---------------------------------------------------------------- stages


def _server_stage(stage: Stage, outcome: Outcome[object], report: Report) -> Iterator[_Line]:
    if isinstance(outcome, Skipped):
        lead = Text.assemble(_SKIPPED, f"{stage:<{_STAGE_COLUMNS['server']}} {_NOT_RUN}")
        yield _Line(lead, Text(phrases.explain_skip(stage, report)))
    else:
        yield from _stage_lines(stage, outcome, report)


def _notary_stage(result: NotaryResult, report: Report) -> Iterator[_Line]:
    columns = _STAGE_COLUMNS["server"]
    match result.outcome:
        case Skipped():
            why = f"{result.notary} is inconclusive: {result.inconclusive_because}"
            yield _Line(Text.assemble(_SKIPPED, f"{Stage.NOTARY:<{columns}} {_NOT_RUN}"), Text(printable_text(why)))
        case Passed():
            same = f"{result.notary} returns the same keys"
            yield _Line(_stage_lead(Stage.NOTARY, result.outcome, report, columns), Text(same))
        case Failed(problems=found):
            yield _Line(_stage_lead(Stage.NOTARY, result.outcome, report, columns), Text(result.notary.text))
            yield from _problem_lines([LocatedProblem(Stage.NOTARY, None, each) for each in found], report)


def _outbound_stage(seen: OutboundLook, report: Report) -> Iterator[_Line]:
    if isinstance(seen.outcome, Skipped):
        lead = Text.assemble(_SKIPPED, f"{Stage.OUTBOUND:<{_STAGE_COLUMNS['server']}} {_NOT_RUN}")
        yield _Line(lead, Text(printable_text(f"inconclusive: {seen.inconclusive_because}")))
    else:
        yield from _stage_lines(Stage.OUTBOUND, seen.outcome, report)
    yield from (_Line(_INDENT, Text(each)) for each in phrases.describe_other_families(seen))
    if seen.asked:
        yield _Line(_INDENT, Text(f"looked at {phrases.format_age(seen.made_at, report.ended_at)}"))


def _add_endpoint(root: Tree, seen: EndpointReport, report: Report) -> None:
    branch = root.add(_endpoint_line(seen))
    for stage, outcome in seen.outcomes():
        if not isinstance(outcome, Skipped):
            branch.add(Group(*_stage_lines(stage, outcome, report, seen.endpoint)))
    behind = seen.keys_behind_bad_certificate
    if unverified := list(phrases.describe_keys_behind_bad_certificate(behind)):
        branch.add(Group(_Line(_WARNING, Text("\n".join(unverified))), *_detail_lines(found(behind))))
    skipped = [stage for stage, outcome in seen.outcomes() if isinstance(outcome, Skipped)]
    secured = isinstance(seen.tls, Passed)
    if not_reached := [stage for stage in skipped if not secured or stage is not Stage.PROXY]:
        branch.add(_Line(_SKIPPED, Text(f"{', '.join(not_reached)} skipped: not reached")))
    if secured and Stage.PROXY in skipped:
        branch.add(_Line(_SKIPPED, Text("proxy inconclusive: the responses do not show what a reverse proxy does")))


def _add_detours(root: Tree, report: Report) -> None:
    """Add the endpoints of the implementations that go elsewhere than the specification says."""
    for names, way in peers.detours(report):
        go_on = "goes on" if len(names) == 1 else "go on"
        root.add(_Line(_INDENT, Text(f"{peers.join_names(names)} {go_on} to other endpoints:")))
        for seen in way.endpoints:
            _add_endpoint(root, seen, report)


def _endpoint_line(seen: EndpointReport) -> _Line:
    endpoint = seen.endpoint
    sign, health = (_PASSED, "is healthy") if seen.ok else (_FAILED, "is broken")
    if seen.ok and endpoint.behind_alias:
        sign, health = _WARNING, "is healthy, but its SRV target is an alias (CNAME), which some peers may not follow"
    of_target = "" if endpoint.address == str(endpoint.target) else f" of {printable_text(str(endpoint.target))}"
    return _Line(sign, Text.assemble((endpoint.address, "bold"), f"{of_target} {health}"))


def _stage_lines(
    stage: Stage, outcome: Passed[object] | Failed[object], report: Report, endpoint: Endpoint | None = None
) -> Iterator[_Line]:
    columns = _STAGE_COLUMNS["endpoint" if endpoint else "server"]
    lead = _stage_lead(stage, outcome, report, columns)
    yield _Line(lead, Text("\n".join(phrases.describe_finding(outcome.found, report.ended_at))))
    if isinstance(outcome, Failed):
        yield from _problem_lines([LocatedProblem(stage, endpoint, each) for each in outcome.problems], report)
    if verdict.federation(report) is not Federation.FULL:
        yield from _detail_lines(outcome.found)


def _stage_lead(stage: Stage, outcome: Passed[object] | Failed[object], report: Report, columns: int) -> Text:
    sign = _PASSED if isinstance(outcome, Passed) else _FAILED
    took = phrases.format_duration(outcome.seconds)
    drawn = bar(outcome.seconds, _slowest(report))
    return Text.assemble(
        sign, f"{stage:<{columns}} {_status(outcome):<7} ", (f"{took:>7} {drawn:<{_BAR_COLUMNS}} ", "dim")
    )


def bar(seconds: float, longest: float) -> str:
    """Return a bar, which has at least one block if the stage took any time at all, and never more than fit."""
    return "▇" * min(_BAR_COLUMNS, max(1, round(_BAR_COLUMNS * seconds / longest))) if seconds > 0 else ""


def _slowest(report: Report) -> float:
    """Return the duration of the slowest stage, in seconds."""
    return max((outcome.seconds for *_, outcome in report.outcomes() if not isinstance(outcome, Skipped)), default=0.0)


def _status(outcome: Passed[object] | Failed[object]) -> str:
    match outcome:
        case Failed():
            return "failed"
        case Passed(found=Delegation(server=None) | SrvRecords(decided_by=None)):
            return "absent"
        case _:
            return "ok"


def _deep_look_line(seen: DeepLook, report: Report) -> _Line:
    """The results of a deep look are shown with the endpoints and the warnings, so this is only its time."""
    return _Line(_INDENT, Text(f"deep look: {phrases.format_age(seen.made_at, report.ended_at)}"))


def _support_lines(seen: Support | None) -> Iterator[_Line]:
    if seen:
        yield _Line(_INDENT, Text.assemble(("contact: ", "bold"), ", ".join(phrases.describe_support(seen))))


# ---------------------------------------------------------------- problems and warnings


def _problem_lines(found: Iterable[LocatedProblem], report: Report) -> Iterator[_Line]:
    """Yield the problems of a stage, with one remedy for consecutive problems that have the same."""
    for remedy, alike in groupby(found, key=lambda located: remedies.remedy(report, located)):
        for problem in (located.problem for located in alike):
            yield _Line(_INDENT, Text.assemble((problem.reason, "bold red"), f": {printable_text(problem.detail)}"))
        yield _remedy(remedy)


def _other_warnings(report: Report, delegation_last_seen: datetime | None) -> list[ActiveWarning]:
    """Return the warnings, except for what the heading shows."""
    found_now = warnings(report, delegation_last_seen)
    return [located for located in found_now if located.warning is not WarningName.WORKS_FOR_SOME]


def _warning(located: ActiveWarning) -> Iterator[_Line]:
    yield _Line(
        _WARNING, Text.assemble("warning ", (located.warning, "bold yellow"), f": {printable_text(located.detail)}")
    )
    yield _remedy(located.warning.remedy)


def _detail_lines(seen: object) -> Iterator[_Line]:
    for detail in describe_details(seen):
        yield _Line(_INDENT, Text(detail, "dim"))


def _remedy(text: str) -> _Line:
    return _Line(_INDENT + _REMEDY, Text(text))
