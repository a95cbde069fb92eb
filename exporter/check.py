"""`check`: probes servers once, now, and shows what came of it."""

import asyncio
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from exporter import config, wiring
from exporter.config import Config, ConfigError
from exporter.judging import verdict
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.probing.prober import Prober
from exporter.reports import report_text
from exporter.reports.report_json import report_json

_ALL_FEDERATE, _SOME_DO_NOT, _UNUSABLE, _INTERRUPTED = 0, 1, 2, 130  # exit statuses; 130 is 128 + SIGINT
_MOST_COLUMNS = 100  # longer lines are hard to read
_MOST_CHARACTERS = 100  # of an argument that a complaint repeats

_Show: TypeAlias = Callable[[Report], None]


class _InvalidArgumentsError(ValueError):
    """One line for each argument that is no server name."""


def run(servers: Sequence[str], config_file: Path | None, *, as_json: bool) -> int:
    """The exit status. Nothing is probed where a server name or the configuration is wrong.

    Raises SystemExit where standard output is closed early, as by `head`.
    """
    try:
        server_names = _parse_server_names(servers)
        settings = config.load(config_file) if config_file else Config()
        prober = wiring.build_prober(settings)
    except (_InvalidArgumentsError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return _UNUSABLE
    try:
        return _probe_and_show(server_names, prober, settings.probe.concurrency, as_json=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED


def _parse_server_names(servers: Sequence[str]) -> list[ServerName]:
    """Raises InvalidArgumentsError, with every complaint."""
    server_names, complaints = [], []
    for text in servers:
        try:
            server_names.append(names.parse(text))
        except names.InvalidServerNameError as error:
            complaint = printable(str(error), _MOST_CHARACTERS)
            complaints.append(f"{printable(text, _MOST_CHARACTERS)!r} is no server name: {complaint}")
    if complaints:
        raise _InvalidArgumentsError("\n".join(complaints))
    return server_names


def _probe_and_show(server_names: Sequence[ServerName], prober: Prober, concurrency: int, *, as_json: bool) -> int:
    several = len(server_names) > 1
    show = _show_json if as_json else _show_text_and_blank_line if several else _show_text
    reports = asyncio.run(_check(server_names, prober, concurrency, show))
    federating = sum(map(verdict.federates, reports))
    if several and not as_json:
        _standard_output().print(report_text.summary(federating, len(reports)))
    return _ALL_FEDERATE if federating == len(reports) else _SOME_DO_NOT


async def _check(server_names: Sequence[ServerName], prober: Prober, concurrency: int, show: _Show) -> list[Report]:
    """Probes all at once, `concurrency` at most, and shows each as soon as it and all before it are done."""
    _cancel_on_sigint()
    slots = asyncio.Semaphore(concurrency)

    async def probe(name: ServerName) -> Report:
        async with slots:
            return await prober.run_deep_look(await prober.probe(name))

    probes = [asyncio.create_task(probe(name)) for name in server_names]
    reports = []
    for name, probing in zip(server_names, probes, strict=True):
        with Console(stderr=True).status(Text(f"probing {name}")):  # on a terminal only
            reports.append(await probing)
        show(reports[-1])
    return reports


def _cancel_on_sigint() -> None:
    """Whoever runs. Unlike the handler of `asyncio.run`, one of the event loop's wakes it up even where the signal came
    just before it fell asleep.
    """
    running = asyncio.current_task()
    if running and threading.current_thread() is threading.main_thread():  # others are sent no signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)


# ---------------------------------------------------------------- output


def _standard_output() -> Console:
    """Coloured on a terminal only, and not where NO_COLOR is set, which rich sees to."""
    on_terminal = sys.stdout.isatty()
    columns = min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if on_terminal else report_text.PLAIN_COLUMNS
    return Console(width=columns, markup=False, emoji=False, highlight=False)


def _show_json(report: Report) -> None:
    _standard_output().out(json.dumps(report_json(report), separators=(",", ":")))


def _show_text(report: Report) -> None:
    _standard_output().print(report_text.tree(report))


def _show_text_and_blank_line(report: Report) -> None:
    """With a blank line below."""
    _standard_output().print(report_text.tree(report), "")
