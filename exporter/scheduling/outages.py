"""The detection of outages in each of the networks that the groups of servers are probed over."""

import asyncio
from collections import defaultdict

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.report import Report
from exporter.reports.board import Board
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.outage import OutageDetector


class Outages:
    """Has a detector for each network: one of them may be down while the others are up."""

    def __init__(self, board: Board, exporter_metrics: ExporterMetrics) -> None:
        self._board = board
        self._exporter_metrics = exporter_metrics
        self._detectors: dict[str, OutageDetector] = {}
        """By the name of the network."""

    def __repr__(self) -> str:
        return f"<Outages: {self.down or 'none'}>"

    async def follow(self, active: ActiveConfig) -> None:
        """Use another configuration. A network that is still there keeps what is known of it."""
        groups = defaultdict[str, set[str]](set)
        for group, network in active.network_names.items():
            groups[network].add(group)
        removed = {network: self._detectors.pop(network) for network in self._detectors.keys() - groups.keys()}
        for network, probed in groups.items():
            prober = active.probers[network]
            if detector := self._detectors.get(network):
                detector.prober, detector.groups = prober, probed
            else:
                self._detectors[network] = OutageDetector(self._board, self._exporter_metrics, prober, probed, network)
        for network, detector in removed.items():
            await detector.close()
            self._exporter_metrics.connectivity_up.remove(network)

    async def close(self) -> None:
        await asyncio.gather(*(detector.close() for detector in self._detectors.values()))

    async def explains(self, report: Report, active: ActiveConfig) -> bool:
        """Whether an outage explains the failures in a report of a probe with this configuration."""
        detector = self._detectors.get(active.network_names[active.group_of(report.server_name)])
        return detector is not None and await detector.explains(report)

    @property
    def down(self) -> str | None:
        """Which outages there are, and which groups they affect unless all do; None if there are none."""
        down = [detector for detector in self._detectors.values() if detector.outage]
        if len(self._detectors) == 1:
            return down[0].outage if down else None
        return "; ".join(f"{each.outage} (for {', '.join(sorted(each.groups))})" for each in down) or None
