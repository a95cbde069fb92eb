"""What is seen of the exporter from outside: by a health check, by a Prometheus, by an operator, and by the kernel."""

import asyncio
import os
import random
import re
import signal
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx

from tests.siege.clients import PATIENT, TIMEOUT_HEADER, Besieged, http_client
from tests.siege.exporter_process import ExporterProcess
from tests.siege.lab import SILENCE, SPEAK

OWN_ADDRESS = "127.0.0.1"
_HEALTH_PAUSE_SECONDS = 0.25  # between two health checks, whether the earlier one is answered or not
UNANSWERED_SECONDS = 10.0  # as long a health check counts for which there is no answer
_SCRAPE_PAUSE_SECONDS = 1.0
_SCRAPE_SECONDS = 30.0
_PATIENT_PAUSE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
LAST, SUCCESS, PROBES = "probe_last_timestamp_seconds", "probe_success", "probes_total"
_SKIPPED = re.compile(r"^matrix_federation_exporter_probes_skipped_total\{.*\} (\S+)$", re.MULTILINE)
_OF_SERVERS = re.compile(rf'^matrix_federation_({LAST}|{SUCCESS}|{PROBES}){{server_name="(.*?)"}} (\S+)$', re.MULTILINE)
_READY = re.compile(r"^matrix_federation_exporter_outbound_ready\{.*\} (\d)", re.MULTILINE)
_OUTBOUND = re.compile(
    r'^matrix_federation_stage_success{probe_stage="outbound",server_name="([^"]*)"} (\d)', re.MULTILINE
)
_SUCCEEDED = re.compile(r"^matrix_federation_probe_success\{.*\} (\d)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scrape:
    at: float
    """Seconds since the epoch."""
    by_server: Mapping[str, Mapping[str, float]]
    """Of some metrics, the values by server."""
    skipped: int
    """Probes of all servers."""
    ready: bool = True
    """Whether the exporter reaches its own listener for other homeservers."""
    outbound: Mapping[str, bool] = field(default_factory=dict)
    """Whether a server reaches it."""

    def all_are_probed(self, names: Collection[str], times: int) -> bool:
        return all(self.by_server[PROBES].get(name, 0) >= times for name in names)


def read_scrape(text: str, at: float) -> Scrape:
    by_server: dict[str, dict[str, float]] = {LAST: {}, SUCCESS: {}, PROBES: {}}
    for metric, name, value in _OF_SERVERS.findall(text):
        by_server[metric][name] = float(value)
    outbound = {name: value == "1" for name, value in _OUTBOUND.findall(text)}
    skipped = round(sum(map(float, _SKIPPED.findall(text))))
    return Scrape(at, by_server, skipped, "0" not in _READY.findall(text), outbound)


@dataclass(slots=True)
class Observed:
    """All that was seen in some time."""

    health_seconds: list[float] = field(default_factory=list)
    """How long each health check took."""
    scrapes: list[Scrape] = field(default_factory=list)
    scrape_failures: list[str] = field(default_factory=list)
    resident_bytes: list[int] = field(default_factory=list)
    patient: Counter[str] = field(default_factory=Counter)
    """What patient clients were told about healthy servers."""
    noticed_seconds: list[float] = field(default_factory=list)
    """From the moment when a server fell silent until it was called down."""
    recovered_seconds: list[float] = field(default_factory=list)
    """From the moment when a server was back until it was called healthy."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the exporter and its workers."""
    slowness: float = 1.0
    """How many times as long a request took, to send and to answer, as if no other process had been running."""


# ---------------------------------------------------------------- who looks, until cancelled


async def check_health(besieged: Besieged, observed: Observed) -> None:
    """As a supervisor does, with a new connection each time."""
    context = besieged.context()
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_check_once(besieged, context, observed))
            await asyncio.sleep(_HEALTH_PAUSE_SECONDS)


async def _check_once(besieged: Besieged, context: ssl.SSLContext, observed: Observed) -> None:
    """A check that is still waiting at the end counts with what it has waited so far."""
    started, answered = time.monotonic(), True
    try:
        async with asyncio.timeout(UNANSWERED_SECONDS):
            answered = await _ask_health(besieged, context)
    except (OSError, TimeoutError):
        answered = False
    finally:
        observed.health_seconds.append(time.monotonic() - started if answered else UNANSWERED_SECONDS)


async def _ask_health(besieged: Besieged, context: ssl.SSLContext) -> bool:
    """Any status will do: the exporter is to say how it is."""
    reader, writer = await asyncio.open_connection(*besieged.address, ssl=context)
    try:
        head = f"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nAuthorization: {besieged.authorization}\r\n\r\n"
        writer.write(head.encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 ")
    finally:
        writer.transport.abort()


async def scrape(besieged: Besieged, exporter: ExporterProcess, observed: Observed) -> None:
    """As Prometheus does."""
    async with http_client(besieged, OWN_ADDRESS) as client:
        while True:
            observed.resident_bytes.append(exporter.resident_bytes())
            try:
                response = await _get_metrics(client)
                observed.scrapes.append(read_scrape(response.raise_for_status().text, time.time()))
            except httpx.HTTPError as error:
                observed.scrape_failures.append(repr(error))
            await asyncio.sleep(_SCRAPE_PAUSE_SECONDS)


async def _get_metrics(client: httpx.AsyncClient) -> httpx.Response:
    """Try once more if the exporter has closed a connection that was kept, as every HTTP client does."""
    try:
        return await client.get("/metrics", timeout=_SCRAPE_SECONDS)
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        return await client.get("/metrics", timeout=_SCRAPE_SECONDS)


async def probe_patiently(besieged: Besieged, observed: Observed) -> None:
    """Whoever has time gets the truth about servers that need some, or is refused."""
    async with http_client(besieged, OWN_ADDRESS) as client:
        while True:
            name = random.choice(besieged.slow)
            with suppress(httpx.HTTPError):
                response = await client.get(f"/probe?target={name}", headers={TIMEOUT_HEADER: PATIENT})
                observed.patient[_told(response)] += 1
            await asyncio.sleep(_PATIENT_PAUSE_SECONDS)


def _told(response: httpx.Response) -> str:
    if not response.is_success:
        return "refused"
    return "right" if _SUCCEEDED.findall(response.text) == ["1"] else "wrong"


# ---------------------------------------------------------------- what is done to see what comes of it


Command: TypeAlias = Callable[[str, str], Awaitable[None]]
"""Lets a server fall silent, or speak again."""


async def let_fall_silent(name: str, command: Command, interval: float, bound: float, observed: Observed) -> None:
    """Again and again, each time until the exporter has noticed, or `bound` seconds have passed."""
    while True:
        for deed, success, seconds in ((SILENCE, 0, observed.noticed_seconds), (SPEAK, 1, observed.recovered_seconds)):
            await asyncio.sleep(random.uniform(0, interval))
            await command(deed, name)
            seconds.append(await _seconds_until(success, name, observed, bound))


async def _seconds_until(success: int, name: str, observed: Observed, bound: float) -> float:
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < bound:
        if observed.scrapes and observed.scrapes[-1].by_server[SUCCESS].get(name) == success:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return elapsed


async def stop_workers(exporter: ExporterProcess, pause: float) -> None:
    """Stop one of the workers now and then, as if it waited for a disk that is gone."""
    while True:
        await asyncio.sleep(pause)
        with suppress(IndexError, ProcessLookupError):  # there is none just now
            os.kill(random.choice(exporter.worker_pids()), signal.SIGSTOP)
