"""What scheduled probes include more rarely than the rest: the deep look, and the look at the other direction."""

from collections.abc import Callable
from datetime import timedelta

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.outbound.looks import OutboundLooks
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.costly_servers import CostlyServers
from exporter.scheduling.grid import fraction

_LOOKED_AT_ONCE = 1000  # servers of which each has its first deep look with its first probe
_FIRST_LOOK_SPACING_SECONDS = 0.2  # of the others: 20,000 take an hour, which is the usual interval


class RarerLooks:
    """Adds the looks that are due to a report. The board has the latest ones."""

    def __init__(self, board: Board, outbound: Callable[[], OutboundLooks | None], costly: CostlyServers) -> None:
        self._board = board
        self._outbound = outbound
        self._costly = costly

    async def add_to(self, report: Report, active: ActiveConfig) -> Report:
        """Return the report with the looks that are due, which are made with the same configuration as the probe. A
        deep look does not count if the exporter starved during it, and a costly server gets no look before it has
        rested.

        Raises WorkerLostError.
        """
        name, outbound = report.server_name, self._outbound()
        state = self._board.state(name)
        if state is None or self._costly.must_rest(name):
            return report
        interval = active.config.probe.deep_interval
        latest = report.with_looks_from(state.report)
        if _deep_look_is_due(latest, interval) or (latest.deep is None and self._has_first_turn(state, interval)):
            deeper = await active.prober_of(name).run_deep_look(report)
            self._costly.record(deeper)
            report = report if verdict.exporter_starved(deeper) else deeper
        return await outbound.add_if_due(active.network_of(name), report, state.report) if outbound else report

    def _has_first_turn(self, state: ServerState, interval: float) -> bool:
        """Whether the first deep look at a server is due with its present probe.

        If there are many servers, their first looks are spread over the interval of deep looks by their names:
        otherwise, the first round of probes would take several times as much CPU time as those that follow. A server's
        turn does not depend on when it is due within a round: otherwise, the looks of a round would come together.
        """
        spread = min(interval, max(0, self._board.size - _LOOKED_AT_ONCE) * _FIRST_LOOK_SPACING_SECONDS)
        turn = fraction(state.watched.server_name, b" deep look") * spread
        return turn < (state.probes + 1) * state.watched.interval


def _deep_look_is_due(latest: Report, interval: float) -> bool:
    """It is if the latest one is too old, or if a certificate has stopped verifying since."""
    is_old = latest.deep is not None and latest.ended_at - latest.deep.made_at >= timedelta(seconds=interval)
    return is_old or any(endpoint.lacks_keys_behind_bad_certificate for endpoint in latest.endpoints)
