"""A server of our own and a peer are dead: who is told, by the labels of a server list."""

import json
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest

from exporter.app import App
from exporter.demo.federation import Federation
from tests.deploy.rules import ALERTS
from tests.e2e.monitoring import SPEED_UP, Alert, alertmanager, known, prometheus, receiver, told
from tests.embedded_federation import lab_servers, of_server, quick, scraped, write_config
from tests.waiting import PATIENCE, slowness, until_equal

UP = lab_servers("default-port.lab.test", "explicit-port.lab.test:8449", "srv.lab.test", "192.0.2.11")
OURS, PEER = "expired.lab.test", "untrusted.lab.test"
LIST = [
    {"targets": [OURS], "labels": {"team": "chat"}},
    {"targets": [PEER], "labels": {"team": "chat", "role": "peer"}},
]
PEERS_FAILING = "MatrixFederationPeersFailing"
TOLD = {Alert("ServerDown", OURS), Alert("CertificateExpired", OURS, "federation")}
ROUTE = {
    "  routes:\n": '  routes:\n    - matchers: [team="chat"]\n      receiver: chat\n',
    "receivers:\n": "receivers:\n  - name: chat\n    webhook_configs:\n      - url: http://127.0.0.1:9099/chat\n",
}


@pytest.mark.prometheus
@pytest.mark.system("prometheus")
@pytest.mark.system("prometheus-alertmanager")
@pytest.mark.timeout(6 * PATIENCE)
async def test_a_label_of_a_list_routes_the_alert_and_a_peer_causes_none(tmp_path: Path) -> None:
    """Our server pages its team once, and of the peer not even a pending alert is known, for whatever reason."""
    slow = slowness()
    factor = SPEED_UP / slow
    (tmp_path / "list.json").write_text(json.dumps(LIST))
    async with Federation((*UP, *lab_servers(OURS, PEER))) as federation:
        configuration = write_config(
            tmp_path / "config.yaml",
            federation,
            probe=quick(slow),
            servers=[server.server_name for server in UP],
            server_files=["list.json"],
        )
        async with App(configuration, first_round=0.1) as app:
            with (
                receiver() as (receiving, receives),
                alertmanager(tmp_path / "alertmanager", receiver=receives, factor=factor, changed=ROUTE) as alerts_to,
                prometheus(
                    tmp_path / "prometheus", exporter=str(app.addresses[0]), alertmanager=alerts_to, factor=factor
                ) as address,
            ):
                await until_equal(TOLD, lambda: told(receiving))
                assert receiving.receivers() == dict.fromkeys(TOLD, "chat")
                assert Counter(each.alert for each in receiving.notifications) == dict.fromkeys(TOLD, 1)
                assert {alert.server_name for alert, _ in await known(address)} == {OURS}
                of_peer = of_server(await scraped(app.addresses[0]), PEER)
                assert [value for name, value in of_peer.items() if name.startswith("probe_success")] == [0.0]
                assert await linked_servers(str(app.addresses[0])) == {PEER}


async def linked_servers(exporter: str) -> set[str]:
    """Return which of the dead servers are on the page that the alert about peers links to."""
    link = re.search(r"http://127\.0\.0\.1:10448(/\S+)\.(?:\s|$)", ALERTS[PEERS_FAILING]["annotations"]["description"])
    assert link
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        page = (await client.get(f"http://{exporter}{link[1]}")).text
    return {name for name in (OURS, PEER) if name in page}
