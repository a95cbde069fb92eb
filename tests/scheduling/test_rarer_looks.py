"""When the first deep looks at many servers are made."""

from collections import Counter
from typing import Any

from exporter.config import Config, Group
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.report import Report
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.costly_servers import CostlyServers
from exporter.scheduling.grid import fraction
from exporter.scheduling.rarer_looks import RarerLooks
from tests.sample_reports import delegated_by_well_known, watched_server
from tests.scrapes import board_of

SERVERS = 4_000
IN_FIRST_ROUND = SERVERS * 300 / 600
"""The first looks at 3,000 of them are spread over 600 seconds, and a round takes 300."""


class FakeProber:
    def __init__(self) -> None:
        self.looked_at: list[str] = []

    async def run_deep_look(self, report: Report) -> Report:
        self.looked_at.append(report.server_name.text)
        return report


async def test_the_first_deep_looks_of_a_round_are_spread_over_all_of_it() -> None:
    """Each takes as much CPU time as two probes: if they came together, they would hold up the event loop."""
    prober = FakeProber()
    servers = [watched_server(f"s{number}.example.org") for number in range(SERVERS)]
    networks: Any = {"default": None}
    probers: Any = {"default": prober}
    active = ActiveConfig(Config((Group(),)), probers, networks, {})
    looks = RarerLooks(board_of(servers), lambda: None, CostlyServers(ExporterMetrics()))
    for server in servers:
        await looks.add_to(delegated_by_well_known(server.server_name.text), active)
    assert 0.9 * IN_FIRST_ROUND < len(prober.looked_at) < 1.1 * IN_FIRST_ROUND
    tenths = Counter(int(fraction(names.parse(name)) * 10) for name in prober.looked_at)
    assert sorted(tenths) == list(range(10))
    assert max(tenths.values()) < 1.4 * len(prober.looked_at) / 10
