"""A real Prometheus and a real Alertmanager on loopback, with what is shipped for them, and somebody to be told.

What is shipped is changed in two ways and no other: addresses become those of the test, and time runs faster.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from threading import Thread
from typing import Any

from exporter.demo.listener import LOOPBACK
from exporter.model import durations
from tests.deploy.rules import ALERTMANAGER, PROMETHEUS, RULE_FILES
from tests.e2e.processes import NotStartedError, running, showing
from tests.programs import program
from tests.waiting import PATIENCE

HASTE = 150  # an hour passes in 24 seconds; more, and a busy machine could not keep up
SHORTEST_SECONDS = 1.0
EXPORTER, ALERTS_TO, NOTICES_TO = "127.0.0.1:10448", "127.0.0.1:9093", "127.0.0.1:9099"
"""Where things are in what is shipped."""
PAUSE_SECONDS = 0.05

DURATION = r"\d+[smhd]"
WAITS = re.compile(rf"(?<=[a-z]: )({DURATION})(?=[ \n])")
RANGES = re.compile(rf"(?<=\[)({DURATION})(?::({DURATION}))?(?=\])")
LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


def hastened(text: str) -> str:
    """Every duration that is a value, or the range of an expression, divided by HASTE."""
    text = WAITS.sub(lambda found: shorter(found[1]), text)
    return RANGES.sub(lambda found: ":".join(shorter(each) for each in found.groups() if each), text)


def shorter(duration: str) -> str:
    return durations.text(max(durations.parse(duration) / HASTE, SHORTEST_SECONDS))


def adapted(file: Path, places: Mapping[str, str]) -> str:
    """`places` gives for each address that is shipped the one to use."""
    text = hastened(file.read_text())
    for shipped, here in places.items():
        assert shipped in text
        text = text.replace(shipped, here)
    return text


@contextmanager
def prometheus(folder: Path, *, exporter: str, alertmanager: str) -> Iterator[str]:
    """Its address."""
    (folder / "rules").mkdir(parents=True)
    for file in RULE_FILES:
        (folder / "rules" / file.name).write_text(hastened(file.read_text()))
    places = {EXPORTER: exporter, ALERTS_TO: alertmanager}
    configuration = folder / "prometheus.yml"
    configuration.write_text(adapted(PROMETHEUS / "prometheus.yml", places))
    command = [program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'samples'}"]
    with listening(folder, command) as address:
        yield address


@contextmanager
def alertmanager(folder: Path, *, receiver: str) -> Iterator[str]:
    """Its address. It looks for no others of its kind."""
    folder.mkdir()
    configuration = folder / "alertmanager.yml"
    configuration.write_text(adapted(ALERTMANAGER, {NOTICES_TO: receiver}))
    command = [program("prometheus-alertmanager"), f"--config.file={configuration}", "--cluster.listen-address="]
    with listening(folder, [*command, f"--storage.path={folder / 'state'}"]) as address:
        yield address


@contextmanager
def listening(folder: Path, command: list[str]) -> Iterator[str]:
    """On a port that the program chooses itself, and tells in its log: none can be lost to somebody else."""
    log = folder / "log"
    with (
        running([*command, f"--web.listen-address={LOOPBACK}:0"], log, os.environ) as process,
        showing(log),
    ):
        yield told_address(process, log)


def told_address(process: Popen[bytes], log: Path) -> str:
    """Raises NotStartedError with the log where the program ends, or says nothing for too long."""
    patience = time.monotonic() + PATIENCE
    while not (found := LISTENING.search(log.read_text())):
        if process.poll() is not None or time.monotonic() > patience:
            raise NotStartedError(f"{process.args!r} does not listen:\n{log.read_text()}")
        time.sleep(PAUSE_SECONDS)
    return found[1]


# ---------------------------------------------------------------- who is told


@dataclass(frozen=True, slots=True, order=True)
class Alert:
    """`detail` is what else tells it apart: a stage, a connection or a warning."""

    name: str
    server_name: str = ""
    detail: str = ""


def alert(labels: Mapping[str, str]) -> Alert:
    detail = next((labels[label] for label in ("probe_stage", "connection", "warning") if label in labels), "")
    return Alert(labels["alertname"].removeprefix("MatrixFederation"), labels.get("server_name", ""), detail)


@dataclass(frozen=True, slots=True)
class Notice:
    receiver: str
    alert: Alert
    firing: bool
    description: str


class Receiver:
    """What Alertmanager tells, the latest last. Belongs to a thread of its own; others may read."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def take(self, message: Mapping[str, Any]) -> None:
        for told in message["alerts"]:
            firing, description = told["status"] == "firing", told["annotations"]["description"]
            self.notices.append(Notice(message["receiver"], alert(told["labels"]), firing, description))

    def firing(self) -> set[Alert]:
        """By the latest notice of each."""
        latest = {notice.alert: notice.firing for notice in list(self.notices)}
        return {told for told, firing in latest.items() if firing}

    def ever(self) -> dict[Alert, str]:
        """All that ever fired, each with the receiver."""
        return {notice.alert: notice.receiver for notice in list(self.notices) if notice.firing}


@contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    """With its address."""
    receiving = Receiver()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiving.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Door) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": PAUSE_SECONDS})
        thread.start()
        try:
            yield receiving, f"{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
