"""What belongs to one of several networks: outages, and the looks that follow a probe."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from exporter.config import Config, Group, HostPort, NetworkSettings
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing.connectivity import Outage
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.costly_servers import CostlyServers
from exporter.scheduling.outage import Outages
from exporter.scheduling.rarer_looks import RarerLooks
from tests.sample_reports import MATRIX_ENDPOINT, delegated_by_well_known, healthy, tls_session, watched_server
from tests.scrapes import board_of
from tests.waiting import leaked_tasks

UP = "matrix_federation_exporter_connectivity_up"
CLOSED = NetworkSettings(resolvers=(HostPort("10.0.0.53", 53),))
CONFIG = Config((Group(), Group("office", network=CLOSED), Group("plant", network=CLOSED), Group("same")))
GROUPS = {"public.test": "default", "office.test": "office", "plant.test": "plant", "same.test": "same"}


@dataclass
class FakeProber:
    """A check finds the outage `down`."""

    down: Outage | None = None
    witnesses: Sequence[Target] = ()

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        assert not check_dns
        self.witnesses = witnesses
        return self.down

    async def run_deep_look(self, report: Report) -> Report:
        return report


def active(config: Config = CONFIG, networks: Any = None, **probers: FakeProber) -> ActiveConfig:
    used: Any = {group.name: probers.get(group.name, FakeProber()) for group in config.groups}
    return ActiveConfig(config, used, networks or {}, {names.parse(name): group for name, group in GROUPS.items()})


def silent(server_name: str) -> Report:
    failed: Failed[None] = Failed(0.0, (Problem(Reason.CONNECT_TIMEOUT, "no answer"),))
    report = replace(delegated_by_well_known(server_name), seconds=0.0)
    return replace(report, endpoints=(EndpointReport(MATRIX_ENDPOINT, failed),))


def healthy_at(server_name: str, ip: str) -> Report:
    endpoint = Endpoint(Target(server_name, 8448), ip_address(ip))
    return replace(delegated_by_well_known(server_name), endpoints=(healthy(endpoint, tls_session(server_name)),))


@asynccontextmanager
async def outages_of(current: ActiveConfig, *reports: Report) -> AsyncIterator[tuple[Outages, ExporterMetrics]]:
    watched = [
        watched_server(report.server_name.text, group=current.groups.get(report.server_name, "default"))
        for report in reports
    ]
    exporter_metrics = ExporterMetrics()
    outages = Outages(board_of(watched, *reports), exporter_metrics)
    await outages.follow(current)
    yield outages, exporter_metrics
    await outages.close()
    assert leaked_tasks() == set()


def up(exporter_metrics: ExporterMetrics) -> dict[str, float | None]:
    networks = ("default", "office", "plant", "same")
    values = {each: exporter_metrics.registry.get_sample_value(UP, {"group": each}) for each in networks}
    return {network: value for network, value in values.items() if value is not None}


async def test_an_outage_of_one_network_explains_nothing_in_another() -> None:
    """Groups that share a network share its outages. The page names the groups."""
    current = active(office=FakeProber(Outage.NETWORK))
    async with outages_of(current) as (outages, exporter_metrics):
        assert up(exporter_metrics) == {"default": 1, "office": 1}
        explained = {name: await outages.explains(silent(name), current) for name in GROUPS}
        assert explained == {"public.test": False, "office.test": True, "plant.test": True, "same.test": False}
        assert up(exporter_metrics) == {"default": 1, "office": 0}
        assert outages.down == "no host answers (for office, plant)"


async def test_a_success_in_one_network_proves_nothing_about_another() -> None:
    current = active(office=FakeProber(Outage.NETWORK))
    async with outages_of(current) as (outages, _):
        assert await outages.explains(silent("office.test"), current)
        assert not await outages.explains(healthy_at("public.test", "192.0.2.1"), current)
        assert await outages.explains(silent("plant.test"), current)


async def test_witnesses_are_servers_of_the_same_network() -> None:
    """Others cannot be reached over it, and must not hear of it."""
    office, public = FakeProber(), FakeProber()
    current = active(office=office, default=public)
    reports = [healthy_at(f"s{number}.test", f"192.{number}.2.1") for number in range(1, 5)]
    async with outages_of(current, *reports) as (outages, _):
        await outages.explains(silent("office.test"), current)
        await outages.explains(silent("public.test"), current)
    assert office.witnesses == ()
    assert len(public.witnesses) == len(reports)


async def test_a_network_that_is_gone_after_a_reload_has_no_series() -> None:
    """A probe that is still in flight over it is explained by nothing."""
    before = active(office=FakeProber(Outage.NETWORK))
    async with outages_of(before) as (outages, exporter_metrics):
        assert await outages.explains(silent("office.test"), before)
        await outages.follow(active(Config((Group(), Group("plant"), Group("office"), Group("same")))))
        assert up(exporter_metrics) == {"default": 1}
        assert outages.down is None
        assert not await outages.explains(silent("office.test"), before)


async def test_a_network_that_remains_keeps_its_outage() -> None:
    """With a single network, all groups are affected, and none is named."""
    current = active(default=FakeProber(Outage.RESOLVER))
    async with outages_of(current) as (outages, exporter_metrics):
        assert await outages.explains(silent("public.test"), current)
        await outages.follow(active(Config((Group(), Group("same"))), default=FakeProber(Outage.RESOLVER)))
        assert up(exporter_metrics) == {"default": 0}
        assert outages.down == Outage.RESOLVER


async def test_looks_are_made_over_the_network_with_which_the_probe_began() -> None:
    """The deep look, and the look at the other direction."""

    class FakeOutbound:
        async def add_if_due(self, network: object, report: Report, _: Report | None) -> Report:
            used.append(network)
            return report

    class FakeDeepProber(FakeProber):
        async def run_deep_look(self, report: Report) -> Report:
            used.append("office prober")
            return report

    used: list[object] = []
    outbound: Any = FakeOutbound()
    current = active(networks={"default": "public network", "office": "office network"}, office=FakeDeepProber())
    looks = RarerLooks(
        board_of([watched_server("office.test", group="office")]), lambda: outbound, CostlyServers(ExporterMetrics())
    )
    await looks.add_to(delegated_by_well_known("office.test"), current)
    assert used == ["office prober", "office network"]
