"""Runs a real Prometheus and a real Alertmanager on loopback, with the shipped configuration, and a receiver.

The shipped configuration is changed in two ways only: it gets the addresses of the test, and time runs faster.
Prometheus scrapes the exporter's /metrics, or its /probe for each server.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from threading import Thread
from types import MappingProxyType
from typing import Any

import httpx

from exporter.demo.listener import LOOPBACK
from exporter.model import durations
from tests.deploy.rules import ALERTMANAGER, PROMETHEUS, RULE_FILES
from tests.e2e.processes import NotStartedError, log_on_failure, running_program
from tests.programs import program
from tests.waiting import PATIENCE

SPEED_UP = 150.0  # an hour passes in 24 seconds
SPEED_UP_OF_PROBES = 60.0  # an interval of 2 minutes passes in 2 seconds, in which every server can be probed
_SHORTEST_SECONDS = 1.0
_EXPORTER, _ALERTMANAGER, _RECEIVER = "127.0.0.1:10448", "127.0.0.1:9093", "127.0.0.1:9099"
"""The addresses in the shipped configuration."""
_PAUSE_SECONDS = 0.05

_MISSING_EXPORTER = re.compile(r"(?<=alert: MatrixFederationExporter)((?:Down|Absent)\n.*?for: )\S+", re.DOTALL)
_LATE_SECONDS = 60
"""For so long, Prometheus may look for its targets, and scrapes may be late on a busy machine."""

SHIPPED_RULES = {file.name: file.read_text() for file in RULE_FILES}

_DURATION = r"\d+[smhd]"
_DURATIONS = re.compile(rf"(?<=[a-z]: )({_DURATION})(?=[ \n])")
_RANGES = re.compile(rf"(?<=\[)({_DURATION})(?::({_DURATION}))?(?=\])")
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


def speed_up(text: str, factor: float = SPEED_UP) -> str:
    """Divide by `factor` every duration that is a value, or the range of an expression."""

    def shorten(duration: str) -> str:
        return durations.text(max(durations.parse(duration) / factor, _SHORTEST_SECONDS))

    text = _DURATIONS.sub(lambda found: shorten(found[1]), text)
    return _RANGES.sub(lambda found: ":".join(shorten(each) for each in found.groups() if each), text)


def _sped_up_rules(rules: Mapping[str, str], factor: float) -> dict[str, str]:
    """Return the rules of a test whose exporters are never down: they may be late, however fast its time runs."""
    return {
        name: _MISSING_EXPORTER.sub(rf"\g<1>{_LATE_SECONDS}s", speed_up(text, factor)) for name, text in rules.items()
    }


def _adapt(file: Path, used_in_test: Mapping[str, str], factor: float) -> str:
    """`used_in_test` maps texts of the shipped configuration, such as addresses, to those of the test."""
    text = file.read_text()
    for shipped, used in used_in_test.items():
        assert shipped in text
        text = text.replace(shipped, used)
    return speed_up(text, factor)


@contextmanager
def prometheus(
    folder: Path,
    *,
    exporter: str,
    alertmanager: str,
    factor: float = SPEED_UP,
    rules: Mapping[str, str] = SHIPPED_RULES,
) -> Iterator[str]:
    """Yield its address. Its time runs faster by `factor`."""
    used_in_test = {_EXPORTER: exporter, _ALERTMANAGER: alertmanager}
    with _prometheus(folder, "prometheus.yml", used_in_test, factor, _sped_up_rules(rules, factor)) as address:
        yield address


@contextmanager
def watching_prometheus(
    folder: Path,
    *,
    exporters: Mapping[str, str],
    alertmanager: str,
    rules: Mapping[str, str],
    factor: float = SPEED_UP,
) -> Iterator[str]:
    """Yield the address of a Prometheus that scrapes several exporters, given by vantage point. Its rules are given by
    file name.
    """
    targets = [f'- {{targets: ["{address}"], labels: {{vantage: {place}}}}}' for place, address in exporters.items()]
    used_in_test = {f'- targets: ["{_EXPORTER}"]': "\n      ".join(targets), _ALERTMANAGER: alertmanager}
    with _prometheus(folder, "prometheus.yml", used_in_test, factor, _sped_up_rules(rules, factor)) as address:
        yield address


@contextmanager
def probing_prometheus(folder: Path, *, exporter: str, alertmanager: str, factor: float) -> Iterator[str]:
    """Yield the address of a Prometheus that is the scheduler. `list_targets` tells it for which servers.

    A scrape may take as long as the interval, because the machine may be busy.
    """
    used_in_test = {_EXPORTER: exporter, _ALERTMANAGER: alertmanager, "scrape_timeout: 30s": "scrape_timeout: 2m"}
    rules = {name: speed_up(text, factor) for name, text in SHIPPED_RULES.items()}
    with _prometheus(folder, "prometheus-probe.yml", used_in_test, factor, rules) as address:
        yield address


def list_targets(folder: Path, server_names: Sequence[str]) -> None:
    """Write the list of the Prometheus in the folder, which it reads again."""
    listed = folder / "servers.d" / "servers.json"
    listed.parent.mkdir(parents=True, exist_ok=True)
    written = listed.with_suffix(".new")
    written.write_text(json.dumps([{"targets": list(server_names)}]))
    written.replace(listed)


@contextmanager
def _prometheus(
    folder: Path, shipped: str, used_in_test: Mapping[str, str], factor: float, rules: Mapping[str, str]
) -> Iterator[str]:
    (folder / "rules").mkdir(parents=True)
    for name, text in rules.items():
        (folder / "rules" / name).write_text(text)
    configuration = folder / "prometheus.yml"
    configuration.write_text(_adapt(PROMETHEUS / shipped, used_in_test, factor))
    command = [program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'samples'}"]
    with listening_program(folder, command) as address:
        yield address


@contextmanager
def alertmanager(
    folder: Path, *, receiver: str, factor: float = SPEED_UP, changed: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Yield its address. It does not look for other Alertmanagers. Its time runs faster by `factor`.

    `changed` maps texts of the shipped configuration to those that the operator has put in their place.
    """
    folder.mkdir()
    configuration = folder / "alertmanager.yml"
    configuration.write_text(_adapt(ALERTMANAGER, {**changed, _RECEIVER: receiver}, factor))
    command = [program("prometheus-alertmanager"), f"--config.file={configuration}", "--cluster.listen-address="]
    with listening_program(folder, [*command, f"--storage.path={folder / 'state'}"]) as address:
        yield address


@contextmanager
def listening_program(folder: Path, command: list[str]) -> Iterator[str]:
    """Yield the address, whose port the program chooses itself and logs, so that no other program can take it."""
    log = folder / "log"
    with (
        running_program([*command, f"--web.listen-address={LOOPBACK}:0"], log, os.environ) as process,
        log_on_failure(log),
    ):
        yield _logged_address(process, log)


def _logged_address(process: Popen[bytes], log: Path) -> str:
    """Raises NotStartedError with the log if the program exits, or does not listen for too long."""
    deadline = time.monotonic() + PATIENCE
    while not (found := _LISTENING.search(log.read_text())):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStartedError(f"{process.args!r} does not listen:\n{log.read_text()}")
        time.sleep(_PAUSE_SECONDS)
    return found[1]


# ---------------------------------------------------------------- alerts

_TRUE_OF_A_BUSY_MACHINE = {"ExporterSlow", "ExporterOverloaded", "Slow"}
"""Alerts that may fire during a test, and rightly so. They have tests of their own in `deploy/`."""


@dataclass(frozen=True, slots=True, order=True)
class Alert:
    """`detail` is a stage, a connection or a warning."""

    name: str
    server_name: str = ""
    detail: str = ""


def parse_alert(labels: Mapping[str, str]) -> Alert:
    detail = next((labels[label] for label in ("probe_stage", "connection", "warning") if label in labels), "")
    return Alert(labels["alertname"].removeprefix("MatrixFederation"), labels.get("server_name", ""), detail)


async def known(prometheus: str) -> set[tuple[Alert, str]]:
    """Return the alerts of a Prometheus, each with its state: pending or firing."""
    found = (await _get(f"http://{prometheus}/api/v1/alerts"))["data"]["alerts"]
    states = {parse_alert(each["labels"]): each["state"] for each in found}
    return {(each, states[each]) for each in _without_load(states)}


async def inhibited(alertmanager: str) -> set[Alert]:
    """Return the alerts that Alertmanager inhibits."""
    found = await _get(f"http://{alertmanager}/api/v2/alerts")
    return _without_load(parse_alert(each["labels"]) for each in found if each["status"]["inhibitedBy"])


async def _get(url: str) -> Any:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return (await client.get(url)).json()


def firing(alerts: Iterable[Alert]) -> set[tuple[Alert, str]]:
    return {(each, "firing") for each in alerts}


def _without_load(alerts: Iterable[Alert]) -> set[Alert]:
    return {each for each in alerts if each.name not in _TRUE_OF_A_BUSY_MACHINE}


# ---------------------------------------------------------------- notifications


@dataclass(frozen=True, slots=True)
class Notification:
    receiver: str
    alert: Alert
    firing: bool
    description: str


class Receiver:
    """The notifications of Alertmanager, the latest last. One thread writes them; others may read."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []

    def receive(self, message: Mapping[str, Any]) -> None:
        for sent in message["alerts"]:
            firing, description = sent["status"] == "firing", sent["annotations"]["description"]
            notification = Notification(message["receiver"], parse_alert(sent["labels"]), firing, description)
            self.notifications.append(notification)

    def firing(self) -> set[Alert]:
        """Return the alerts whose latest notification says that they are firing."""
        latest = {each.alert: each.firing for each in list(self.notifications)}
        return _without_load(alert for alert, firing in latest.items() if firing)

    def receivers(self) -> dict[Alert, str]:
        """Return the receiver of every alert that ever fired."""
        receivers = {each.alert: each.receiver for each in list(self.notifications) if each.firing}
        return {alert: receivers[alert] for alert in _without_load(receivers)}


async def told(receiving: Receiver) -> set[Alert]:
    return receiving.firing()


async def ever_told(receiving: Receiver) -> set[Alert]:
    return set(receiving.receivers())


@contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    """Yield the receiver and its address."""
    receiving = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiving.receive(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": _PAUSE_SECONDS})
        thread.start()
        try:
            yield receiving, f"{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
