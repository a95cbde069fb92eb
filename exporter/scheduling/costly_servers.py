"""Servers whose probes take much CPU time, and how they are kept from hiding what happens to others.

While one step of a probe uses the CPU, all other probes in the process stand still. If that lasts, their timeouts prove
nothing, and their reports are lost. So costly servers rest between their probes, and a report that was lost is replaced
by one of a probe without them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.runtime.lru import LruCache

COSTLY_SECONDS = 0.1  # of CPU time for a probe with its deep look: 10 ms are usual
_SHARE = 0.05  # of one CPU, for all costly servers together: half of what makes timeouts unreliable
_CAPACITY = 10_000  # servers; `/probe` may be open to any name

log = structlog.get_logger()


class CostlyServers:
    """The servers whose latest probe was costly, and when each of them may be probed again."""

    def __init__(self, exporter_metrics: ExporterMetrics) -> None:
        self._metrics = exporter_metrics
        self._rests_until: LruCache[ServerName, float] = LruCache(_CAPACITY)
        """On the event loop's clock."""
        self._kept_away = 0
        """How many probes are being made without them."""

    def __repr__(self) -> str:
        return f"<CostlyServers: {len(self._rests_until)}, {'kept away' if self._kept_away else 'allowed'}>"

    def __len__(self) -> int:
        return len(self._rests_until)

    def record(self, report: Report) -> None:
        """Record what a probe has cost. The more costly servers there are, the longer each of them rests."""
        name = report.server_name
        if report.cpu_seconds < COSTLY_SECONDS:
            self._rests_until.discard(name)
            return
        self._rests_until.put(name, 0)
        rest = report.cpu_seconds / _SHARE * len(self._rests_until)
        self._rests_until.put(name, asyncio.get_running_loop().time() + rest)
        self._metrics.costly_probes.inc()
        event = "a probe took much CPU time: the server is probed less often"
        log.warning(event, server_name=name.text, cpu_seconds=round(report.cpu_seconds, 3), rest_seconds=round(rest))

    def must_rest(self, name: ServerName) -> bool:
        """Whether a server must not be probed now, because its probes are costly."""
        until = self._rests_until.get(name)
        return until is not None and (self._kept_away > 0 or asyncio.get_running_loop().time() < until)

    @contextmanager
    def keep_away(self) -> Iterator[None]:
        """Let no probe of a costly server begin within the block."""
        self._kept_away += 1
        try:
            yield
        finally:
            self._kept_away -= 1
