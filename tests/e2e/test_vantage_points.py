"""Two exporters in two places, one Prometheus with rules of the operator's values, and one Alertmanager."""

from collections import Counter
from pathlib import Path

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer, federates
from exporter.metrics.rules import rendering, values
from exporter.model.enums import Method
from tests.e2e.monitoring import SPEED_UP, Alert, alertmanager, inhibited, receiver, told, watching_prometheus
from tests.embedded_federation import lab_servers, network, quick, write_config
from tests.grafana.dashboards import ALL, interpolate, panels
from tests.waiting import PATIENCE, slowness, until_equal

HERE = LabServer(
    "here.lab.test",
    "a homeserver that one of the exporters does not reach",
    Method.DEFAULT_8448,
    zone="here.lab.test A 192.0.2.210",
    ports={"192.0.2.210:8448": federates("here.lab.test")},
)
UP = lab_servers("default-port.lab.test", "explicit-port.lab.test:8449", "srv.lab.test", "192.0.2.11")
SERVERS = (*UP, *lab_servers("refused.lab.test"), HERE)
NOWHERE = "127.0.0.1:1"

DOWN, SOMEWHERE = Alert("ServerDown", "refused.lab.test"), Alert("ServerDownSomewhere", HERE.server_name)
VALUES = """
alerts:
  MatrixFederationServerDownSomewhere: {severity: critical, for: 12m}
"""


DIFFERENT = {(HERE.server_name, "berlin"), (HERE.server_name, "paris")}


async def different_places(prometheus: str) -> set[tuple[str, str]]:
    """Return the servers and places that the dashboard shows, because the places differ."""
    (panel,) = (panel for panel in panels(ALL["overview.json"]) if panel["title"] == "Different from place to place")
    query = interpolate(panel["targets"][0]["expr"], {"job": ".+", "instance": ".+", "server_name": ".+"})
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        found = (await client.get(f"http://{prometheus}/api/v1/query", params={"query": query})).json()["data"][
            "result"
        ]
    return {(each["metric"]["server_name"], each["metric"]["place"]) for each in found}


def own_rules(file: Path) -> dict[str, str]:
    file.write_text(VALUES)
    return dict(rendering.render(values.load(file)))


@pytest.mark.prometheus
@pytest.mark.system("prometheus")
@pytest.mark.system("prometheus-alertmanager")
@pytest.mark.timeout(6 * PATIENCE)
async def test_down_everywhere_is_told_from_down_somewhere(tmp_path: Path) -> None:
    """Each once, with the place, and by way of the receiver of the severity that the values say."""
    slow = slowness()
    factor = SPEED_UP / slow
    async with Federation(SERVERS) as federation:
        blocked = {**network(federation)["connect_to"], "192.0.2.210:8448": NOWHERE}
        berlin = write_config(
            tmp_path / "berlin.yaml", federation, probe=quick(slow), network=network(federation, connect_to=blocked)
        )
        paris = write_config(tmp_path / "paris.yaml", federation, probe=quick(slow))
        async with App(berlin, first_round=0.1) as in_berlin, App(paris, first_round=0.1) as in_paris:
            with (
                receiver() as (receiving, receives),
                alertmanager(tmp_path / "alertmanager", receiver=receives, factor=factor) as alerts_to,
                watching_prometheus(
                    tmp_path / "prometheus",
                    exporters={"berlin": str(in_berlin.addresses[0]), "paris": str(in_paris.addresses[0])},
                    alertmanager=alerts_to,
                    rules=own_rules(tmp_path / "values.yaml"),
                    factor=factor,
                ) as address,
            ):
                await until_equal({DOWN, SOMEWHERE}, lambda: told(receiving))
                await until_equal(DIFFERENT, lambda: different_places(address))
                await until_equal({Alert("ServerPartiallyDown", HERE.server_name)}, lambda: inhibited(alerts_to))
                assert receiving.receivers() == {DOWN: "pager", SOMEWHERE: "pager"}
                assert Counter(each.alert for each in receiving.notifications) == {DOWN: 1, SOMEWHERE: 1}
    descriptions = {each.alert: each.description for each in receiving.notifications}
    assert descriptions[SOMEWHERE] == (
        "Neither Synapse nor Dendrite can federate with here.lab.test from berlin. From paris, it is up. "
        "Failing stages: tcp (connect_refused) from berlin."
    )
