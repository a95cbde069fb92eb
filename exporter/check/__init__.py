"""The command `check`: probes servers once, immediately, and prints the reports."""

import asyncio
import json
import shutil
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog
from rich.console import Console
from rich.text import Text

from exporter import config
from exporter.check import nagios
from exporter.check.selection import Selection, UnknownGroupError, select
from exporter.config import Config, ConfigError
from exporter.history.storage.reading import ServerHistory, UnreadableHistoryError, read_histories
from exporter.judging import verdict
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.model.servers import DEFAULT_GROUP, Expectations, WatchedServer
from exporter.probing.connectivity import DNS_REASONS, silent_failures
from exporter.reports import report_text
from exporter.reports.history_text import build_history_tree
from exporter.reports.lists_json import change_json, incident_json
from exporter.reports.report_json import group_json, report_json
from exporter.scheduling.active_config import ActiveConfig

_ALL_FEDERATE, _SOME_DO_NOT, _UNUSABLE, _INTERRUPTED = 0, 1, 2, 130  # exit statuses; 130 is 128 + SIGINT
_MAX_COLUMNS = 100  # longer lines are hard to read
_MAX_SHOWN = 100  # characters of an argument, in a complaint

NO_RESOLVER_ANSWERS = (
    "No DNS server answers this program, so the results say nothing about the servers: check network.resolvers or "
    "/etc/resolv.conf, and whether a firewall lets queries through."
)

_USE_THE_API = (
    "If the exporter itself is listening there, it knows the result: curl "
    "'http://127.0.0.1:10448/api/v1/report?server_name=SERVER'"
)

_Show: TypeAlias = Callable[[Report], None]
_Histories: TypeAlias = dict[ServerName, ServerHistory]
_Complete: TypeAlias = Callable[[Report], Awaitable[Report]]
_Checked: TypeAlias = tuple[list[Report], bool]
"""The reports, and whether no DNS server answers, so that they say nothing."""

log = structlog.get_logger()


class _NotListeningError(Exception):
    """The exporter cannot listen for other servers. The message says why."""


class _InvalidArgumentsError(ValueError):
    """The message has one line for each argument that is not a server name."""


def run(  # noqa: PLR0913 - independent options
    servers: Sequence[str],
    config_file: Path | None,
    *,
    as_json: bool,
    with_history: bool = False,
    outbound: bool = False,
    group: str | None = None,
) -> int:
    """Probe servers, as those of a group if `group` is the name of one. Return the exit status. There are four cases:

    - 0: all servers federate.
    - 1: some do not.
    - 2: a server name or the configuration is invalid, `with_history` there is none to be read, or for `outbound` the
      exporter cannot listen. Nothing is probed, and standard error says why.
    - 130: the command was interrupted with Ctrl-C.

    Raises SystemExit if the reader of standard output, such as `head`, closes it early.
    """
    try:
        server_names = _parse_server_names(servers)
        settings = _load(config_file, outbound=outbound)
        selection = select(settings, server_names, group)
        histories = _read_histories(settings.storage.path, server_names) if with_history else None
    except (_InvalidArgumentsError, UnknownGroupError, ConfigError, UnreadableHistoryError) as error:
        sys.stderr.write(f"{error}\n")
        return _UNUSABLE
    if selection.unlisted:
        names_of_them = ", ".join(map(str, selection.unlisted))
        sys.stderr.write(f"probed like the servers at the top level, for want of --group: {names_of_them}\n")
    try:
        return _probe_and_show(selection, histories, as_json=as_json, outbound=outbound)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED


def _read_histories(path: Path | None, server_names: Sequence[ServerName]) -> _Histories:
    """Raises UnreadableHistoryError."""
    if path is None:
        raise UnreadableHistoryError("--history needs a configuration with storage.path: use --config")
    return read_histories(path, server_names)


def _load(config_file: Path | None, *, outbound: bool) -> Config:
    """Raises ConfigError or _InvalidArgumentsError."""
    settings = config.load(config_file) if config_file else Config()
    if outbound and not settings.outbound:
        raise _InvalidArgumentsError("--outbound needs the section `outbound` of a configuration: add --config")
    return settings


def _parse_server_names(servers: Sequence[str]) -> list[ServerName]:
    """Raises _InvalidArgumentsError with all complaints."""
    server_names, complaints = [], []
    for text in servers:
        try:
            server_names.append(names.parse(text))
        except names.InvalidServerNameError as error:
            complaint = printable(str(error), _MAX_SHOWN)
            complaints.append(f"{printable(text, _MAX_SHOWN)!r} is not a server name: {complaint}")
    if complaints:
        raise _InvalidArgumentsError("\n".join(complaints))
    return server_names


def _probe_and_show(selection: Selection, histories: _Histories | None, *, as_json: bool, outbound: bool) -> int:
    several = len(selection.servers) > 1

    def show(report: Report) -> None:
        history = histories[report.server_name] if histories is not None else None
        watched = selection.servers[report.server_name]
        if as_json:
            _show_json(report, watched, history)
        else:
            _show_text(report, watched.expected, history, blank_line=several)

    try:
        reports, is_offline = _probe_all(selection.active, show, outbound=outbound)
    except _NotListeningError as error:
        sys.stderr.write(f"{error}\n")
        return _UNUSABLE
    if is_offline:
        sys.stderr.write(f"{NO_RESOLVER_ANSWERS}\n")
    if failure := next(filter(None, map(verdict.proxy_failure, reports)), None):
        sys.stderr.write(f"{failure.detail}. {failure.reason.remedy}\n")
    federating = sum(map(verdict.federates, reports))
    if several and not as_json:
        _standard_output().print(report_text.summarize(list(map(verdict.federation, reports))))
    return _ALL_FEDERATE if federating == len(reports) else _SOME_DO_NOT


def run_nagios(
    servers: Sequence[str], config_file: Path | None, *, outbound: bool = False, group: str | None = None
) -> int:
    """Print the result as a Nagios plugin does, and return its status, which is 3 if nothing was found out."""
    try:
        server_names = _parse_server_names(servers)
        settings = _load(config_file, outbound=outbound)
        selection = select(settings, server_names, group)
        reports, is_offline = _probe_all(selection.active, _show_nothing, outbound=outbound)
        offline = nagios.unknown(NO_RESOLVER_ANSWERS)
        result = offline if is_offline else nagios.summarize(reports, selection.servers)
    except (_InvalidArgumentsError, UnknownGroupError, ConfigError, _NotListeningError) as error:
        result = nagios.unknown(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        result = nagios.unknown("interrupted")
    except Exception as error:
        log.exception("internal error")
        result = nagios.unknown(f"internal error: {error!r}")
    _standard_output().out(result.text, end="")
    return result.status


def _show_nothing(_: Report) -> None:
    """Nagios gets one result of all reports."""


def _probe_all(active: ActiveConfig, show: _Show, *, outbound: bool) -> _Checked:
    """Raises _NotListeningError."""
    check = partial(_check, active, show)
    return asyncio.run(_check_both_ways(check, active) if outbound else check(_identity))


async def _identity(report: Report) -> Report:
    return report


async def _check_both_ways(check: Callable[[_Complete], Awaitable[_Checked]], active: ActiveConfig) -> _Checked:
    """Listen for the servers meanwhile, and look whether they come. Raises _NotListeningError."""
    from exporter.web.listeners import ListenError  # noqa: PLC0415 - the web server takes long to load
    from exporter.web.outbound_service import OutboundService  # noqa: PLC0415 - as above

    service = OutboundService()

    async def complete(report: Report) -> Report:
        return await service.complete(active.network_of(report.server_name), report)

    try:
        async with service.run(active.config.outbound):
            await service.check(active.probers[DEFAULT_GROUP], active.networks[DEFAULT_GROUP])
            return await check(complete)
    except ListenError as error:
        raise _NotListeningError(f"{error}\n{_USE_THE_API}") from error


async def _check(active: ActiveConfig, show: _Show, complete: _Complete) -> _Checked:
    """Probe some servers at a time, and show the reports in the given order, as soon as possible.

    `complete` adds to a report what a probe and a deep look do not find.
    """
    _cancel_on_sigint()
    slots = asyncio.Semaphore(active.config.probe.concurrency)

    async def probe(name: ServerName) -> Report:
        prober = active.prober_of(name)
        async with slots:
            return await complete(await prober.run_deep_look(await prober.probe(name)))

    probes = {name: asyncio.create_task(probe(name)) for name in active.groups}
    reports = []
    for name, probing in probes.items():
        with Console(stderr=True).status(Text(f"probing {name}")):  # on a terminal only
            reports.append(await probing)
        show(reports[-1])
    return reports, await _is_offline(active, reports)


async def _is_offline(active: ActiveConfig, reports: Sequence[Report]) -> bool:
    """Whether no resolver answers in a network in which lookups have failed."""
    failing = {
        active.network_names[active.group_of(report.server_name)]
        for report in reports
        if silent_failures(report) & DNS_REASONS
    }
    return any([await active.probers[each].find_outage((), check_dns=True) for each in sorted(failing)])


def _cancel_on_sigint() -> None:
    """Make Ctrl-C cancel the current task.

    Unlike the handler of `asyncio.run`, one of the event loop wakes it even if the signal arrives just before the
    loop goes to sleep.
    """
    running = asyncio.current_task()
    if running and threading.current_thread() is threading.main_thread():  # other threads cannot handle signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)


# ---------------------------------------------------------------- output


def _standard_output() -> Console:
    """Return a console that uses colours only on a terminal, and not if NO_COLOR is set, which rich checks."""
    on_terminal = sys.stdout.isatty()
    columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS) if on_terminal else report_text.PLAIN_COLUMNS
    return Console(width=columns, markup=False, emoji=False, highlight=False)


def _show_json(report: Report, watched: WatchedServer, history: ServerHistory | None) -> None:
    happened = _history_json(history) if history is not None else {}
    shown = report_json(report) | group_json(watched, report) | happened
    _standard_output().out(json.dumps(shown, separators=(",", ":")))


def _history_json(history: ServerHistory) -> dict[str, object]:
    return {
        "incidents": [incident_json(each) for each in history.incidents],
        "changes": [change_json(each) for each in history.changes],
    }


def _show_text(report: Report, expected: Expectations, history: ServerHistory | None, *, blank_line: bool) -> None:
    trees = [report_text.build_tree(report, expected=expected)]
    if history is not None:
        trees.append(build_history_tree(history.incidents, history.changes))
    _standard_output().print(*trees, *([""] if blank_line else []), sep="\n")
