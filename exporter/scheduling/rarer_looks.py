"""What scheduled probes include more rarely than the rest: the deep look, and the look at the other direction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from exporter.config import Config
from exporter.judging import verdict
from exporter.model.report import Report
from exporter.outbound.looks import OutboundLooks
from exporter.probing.prober import SupportsProbe
from exporter.reports.board import Board
from exporter.scheduling.costly_servers import CostlyServers


@dataclass(frozen=True, slots=True)
class ActiveConfig:
    """A whole configuration, and the prober that was built from it."""

    config: Config
    prober: SupportsProbe


class RarerLooks:
    """Adds the looks that are due to a report. The board has the latest ones."""

    def __init__(
        self,
        board: Board,
        active: Callable[[], ActiveConfig],
        outbound: Callable[[], OutboundLooks | None],
        costly: CostlyServers,
    ) -> None:
        self._board = board
        self._active = active
        self._outbound = outbound
        self._costly = costly

    async def add_to(self, report: Report) -> Report:
        """Return the report with the looks that are due. A deep look does not count if the exporter starved during it,
        and a costly server gets no look before it has rested.

        Raises WorkerLostError.
        """
        state, active, outbound = self._board.state(report.server_name), self._active(), self._outbound()
        if state is None:
            return report
        if self._costly.must_rest(report.server_name):
            return report
        if _deep_look_is_due(report.with_looks_from(state.report), active.config.probe.deep_interval):
            deeper = await active.prober.run_deep_look(report)
            self._costly.record(deeper)
            report = report if verdict.exporter_starved(deeper) else deeper
        return await outbound.add_if_due(report, state.report) if outbound else report


def _deep_look_is_due(latest: Report, interval: float) -> bool:
    """It is if the latest one is too old, or if a certificate has stopped verifying since."""
    return (
        latest.deep is None
        or latest.ended_at - latest.deep.made_at >= timedelta(seconds=interval)
        or any(endpoint.lacks_keys_behind_bad_certificate for endpoint in latest.endpoints)
    )
