"""Prometheus as the scheduler: the shipped configuration for /probe, in a real Prometheus and a real Alertmanager."""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer, federates
from exporter.internet.tcp import TcpStream
from exporter.model.enums import Method
from exporter.scheduling import outage
from tests.deploy.rules import ALERTS
from tests.e2e.monitoring import (
    SPEED_UP_OF_PROBES,
    Alert,
    Receiver,
    alertmanager,
    ever_told,
    firing,
    inhibited,
    known,
    list_targets,
    probing_prometheus,
    receiver,
    told,
)
from tests.embedded_federation import scraped, successes, write_config
from tests.waiting import PATIENCE, slowness, until_equal

RARELY = {"interval": "1h", "timeout": "30s"}
"""The schedule of the exporter, while Prometheus has one of its own."""


def healthy(number: int) -> LabServer:
    """Return a server in a network of its own."""
    name, address = f"healthy-{number}.lab.test", f"10.{number}.0.1"
    return LabServer(
        name,
        "a homeserver on the default port",
        Method.DEFAULT_8448,
        zone=f"{name} A {address}",
        ports={f"{address}:8448": federates(name)},
    )


SERVERS = tuple(healthy(number) for number in range(5))
NAMES = [server.server_name for server in SERVERS]

EXPORTER_DOWN, OFFLINE = Alert("ExporterDown"), Alert("ExporterConnectivityLost")
PROBE_FAILED, MOST_SERVERS_DOWN = Alert("ProbeFailed"), Alert("MostServersDown")


@dataclass(frozen=True, slots=True)
class Monitoring:
    receiving: Receiver
    prometheus: str
    alertmanager: str

    async def until(self, *, told_of: set[Alert], inhibited_alerts: Collection[Alert] = ()) -> None:
        """Wait until exactly these alerts fire, and people are told of some of them, and not of the others."""
        await until_equal(firing({*told_of, *inhibited_alerts}), lambda: known(self.prometheus))
        await until_equal(set(inhibited_alerts), lambda: inhibited(self.alertmanager))
        await until_equal(told_of, lambda: told(self.receiving))


@contextmanager
def monitoring(folder: Path, exporter: str) -> Iterator[Monitoring]:
    factor = SPEED_UP_OF_PROBES / slowness()
    with (
        receiver() as (receiving, receives),
        alertmanager(folder / "alertmanager", receiver=receives, factor=factor) as alerts_to,
        probing_prometheus(folder / "prometheus", exporter=exporter, alertmanager=alerts_to, factor=factor) as address,
    ):
        yield Monitoring(receiving, address, alerts_to)


async def successes_of(app: App) -> dict[str, float | None]:
    return successes(await scraped(app.addresses[0]), SERVERS)


async def no_route(*_: object) -> None:
    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


@pytest.mark.prometheus
@pytest.mark.system("prometheus")
@pytest.mark.system("prometheus-alertmanager")
@pytest.mark.timeout(10 * PATIENCE)
async def test_one_cause_is_one_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many servers Prometheus probes by way of the exporter. What only follows from the cause is inhibited."""
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.2)
    async with Federation(SERVERS) as federation, AsyncExitStack() as exporting:
        app = App(write_config(tmp_path / "config.yaml", federation, probe=RARELY), first_round=0.1)
        await exporting.enter_async_context(app)
        list_targets(tmp_path / "prometheus", NAMES)
        with monitoring(tmp_path, str(app.addresses[0])) as alerts:
            await until_equal(dict.fromkeys(NAMES, 1), lambda: successes_of(app))
            with monkeypatch.context() as during_outage:
                during_outage.setattr(TcpStream, "open", no_route)
                await alerts.until(told_of={OFFLINE}, inhibited_alerts={PROBE_FAILED})
            await alerts.until(told_of=set())

            for name in NAMES:
                federation.dns.zone.remove(name, "A")
            of_servers = {Alert("StageFailing", name, "dns") for name in NAMES}
            await alerts.until(told_of={MOST_SERVERS_DOWN}, inhibited_alerts=of_servers)
            for number, name in enumerate(NAMES):
                federation.dns.zone.put(name, "A", f"10.{number}.0.1")
            await alerts.until(told_of=set())

            list_targets(tmp_path / "prometheus", [*NAMES, "unwatched.lab.test"])
            await alerts.until(told_of={PROBE_FAILED})
            list_targets(tmp_path / "prometheus", NAMES)
            await alerts.until(told_of=set())

            await exporting.aclose()
            await alerts.until(told_of={EXPORTER_DOWN}, inhibited_alerts={PROBE_FAILED})
            ever = await ever_told(alerts.receiving)
    assert ever == {OFFLINE, MOST_SERVERS_DOWN, PROBE_FAILED, EXPORTER_DOWN}
    failed = next(each.description for each in alerts.receiving.notifications if each.alert == PROBE_FAILED)
    assert failed.startswith(
        "Scrapes of /probe fail for 1 servers (job matrix-federation), so their state is unknown: unwatched.lab.test. "
    )
    severity = {each.name: ALERTS[f"MatrixFederation{each.name}"]["labels"]["severity"] for each in ever}
    assert severity == {
        "ExporterConnectivityLost": "critical",
        "MostServersDown": "critical",
        "ProbeFailed": "warning",
        "ExporterDown": "critical",
    }
