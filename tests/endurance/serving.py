"""The real exporter in a process of its own: started, told, looked at from outside, and ended."""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from tests.waiting import PATIENCE

EXPORTER = "matrix_federation_exporter_"
MAX_DESCRIPTORS = 256
MAX_MEMORY_BYTES = 2 << 30  # of addresses, of which most are never touched
PAUSE_SECONDS = 0.05
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
CLOCK = "faked-clock"  # a file, which faketime opens for every look at the time, and now and then leaves open
FAKETIME = "*/faketime/libfaketime.so.1"

Event = Mapping[str, Any]


class WallClock:
    """That of the exporter, which can be set; that of everybody else goes on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / CLOCK
        self.ahead = 0.0
        self.set(0.0)

    def now(self) -> float:
        return time.time() + self.ahead

    def set(self, ahead: float) -> None:
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{ahead:+}\n")
        fresh.replace(self._file)
        self.ahead = ahead

    def environment(self) -> dict[str, str]:
        (library,) = Path("/usr/lib").glob(FAKETIME)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@dataclass(frozen=True, slots=True)
class Held:
    """What a process and its children hold."""

    resident_bytes: int
    descriptors: int
    threads: int
    processes: int


class Scrape:
    def __init__(self, families: Iterable[Metric]) -> None:
        self.samples = [sample for family in families for sample in family.samples]

    def total(self, name: str) -> float:
        return sum(sample.value for sample in self.samples if sample.name == name)

    def by_server(self, name: str) -> dict[str, float]:
        return {sample.labels["server_name"]: sample.value for sample in self.samples if sample.name == name}

    def of_itself(self) -> list[Sample]:
        return [sample for sample in self.samples if "server_name" not in sample.labels]


class Exporter:
    """`log` grows from one start to the next."""

    def __init__(self, folder: Path, workers: int, clock: WallClock | None = None) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        self.config = folder / "config.json"
        self.workers = workers
        self.address = "127.0.0.1:0"
        self._clock = clock
        self._events: list[Event] = []
        self._read_to = 0

    def configure(self, configuration: Mapping[str, Any]) -> None:
        self.config.write_text(json.dumps(configuration))

    def start(self) -> None:
        """Again at the same address, where it was started before."""
        options = ["--config", str(self.config), "--web.listen-address", self.address, "--web.enable-lifecycle"]
        command = [sys.executable, "-m", "exporter", "serve", *options, "--workers", str(self.workers)]
        environment = {**os.environ, **(self._clock.environment() if self._clock else {})}
        known = len(self.events())
        with self.log.open("ab") as log:
            self.process = Popen([*command, "--log.format", "json"], stdin=DEVNULL, stderr=log, env=environment)
        self.address = str(self.told("listening", known)["addresses"])
        self.told("watching", known)
        for pid in self.pids():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (MAX_DESCRIPTORS, MAX_DESCRIPTORS))
            resource.prlimit(pid, resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    # ------------------------------------------------------------ what it says

    def events(self) -> list[Event]:
        """Lines that nobody formatted are events too, and bad ones."""
        with self.log.open("rb") as log:
            log.seek(self._read_to)
            whole, ended, _ = log.read().rpartition(b"\n")
        self._read_to += len(whole + ended)
        self._events.extend(map(event_of, whole.decode().splitlines()))
        return self._events

    def told(self, what: str, since: int) -> Event:
        """The first such event after so many others. Raises TimeoutError with the log."""
        patience = time.monotonic() + PATIENCE
        while not (found := [event for event in self.events()[since:] if event["msg"] == what]):
            if self.process.poll() is not None or time.monotonic() > patience:
                raise TimeoutError(f"the exporter does not say {what!r}:\n{self.log.read_text()[-3000:]}")
            time.sleep(PAUSE_SECONDS)
        return found[0]

    def reload(self) -> Event:
        """That it watches what it is told to."""
        known = len(self.events())
        self.process.send_signal(signal.SIGHUP)
        return self.told("watching", known)

    def metrics(self, *, openmetrics: bool = False) -> str:
        headers = {"Accept": OPENMETRICS} if openmetrics else {}
        answer = httpx.get(f"http://{self.address}/metrics", headers=headers, trust_env=False, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.text

    def scrape(self) -> Scrape:
        return Scrape(read_text(self.metrics()))

    # ------------------------------------------------------------ what it holds

    def pids(self) -> list[int]:
        """Its own, and those of its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, children.split())]

    def held(self) -> Held:
        statuses = [status(pid) for pid in self.pids()]
        return Held(
            resident_bytes=sum(int(each.get("VmRSS", "0 kB").split()[0]) * 1024 for each in statuses),
            descriptors=sum(1 for pid in self.pids() for held in opened(pid) if CLOCK not in held),
            threads=sum(int(each["Threads"]) for each in statuses),
            processes=len(statuses),
        )

    @contextmanager
    def short_of_descriptors(self) -> Iterator[None]:
        """Not one more can be opened meanwhile, in any of its processes."""
        pids = self.pids()
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, MAX_DESCRIPTORS))
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, (MAX_DESCRIPTORS, MAX_DESCRIPTORS))


def opened(pid: int) -> Iterator[str]:
    """What its descriptors lead to; some are gone by the time we look."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(descriptor.readlink())


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def event_of(line: str) -> Event:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return {"msg": line, "level": "unformatted"}
    return event if isinstance(event, dict) else {"msg": line, "level": "unformatted"}


def at(event: Event) -> float:
    """When it was logged, by the exporter's clock."""
    return datetime.fromisoformat(event["time"]).timestamp()
