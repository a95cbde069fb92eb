"""The embedded federation through a proxy: what is found is the same, and nothing is said about TCP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from exporter import config, wiring
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.servers import LabServer
from exporter.internet import IPEndpoint
from exporter.internet.tcp import TcpStream
from exporter.judging import verdict
from exporter.model import names
from exporter.model.addresses import host_port
from exporter.model.enums import Stage
from exporter.model.outcomes import found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import WatchedServer
from exporter.reports import report_text, tester_json
from exporter.reports.report_json import report_json
from exporter.reports.server_state import ServerState
from exporter.web.pages.views.way import way_view
from tests.e2e.apache import apache_as_forward_proxy
from tests.embedded_federation import network, write_config
from tests.lab.connect_proxy import ConnectProxy, connect_proxy, demand
from tests.waiting import slowness

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.lab]

HEALTHY = "well-known-port.lab.test"
SHOWN_BY_A_PROXY = {Reason.CONNECT_REFUSED: Reason.TUNNEL_FAILED, Reason.CONNECT_TIMEOUT: Reason.TUNNEL_TIMEOUT}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def federation() -> AsyncIterator[Federation]:
    async with Federation(SERVERS) as federation:
        yield federation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[ConnectProxy]:
    async with connect_proxy() as proxy:
        yield proxy


async def probe(server_name: str, federation: Federation, proxy: ConnectProxy, folder: Path, seconds: float) -> Report:
    """Run a probe and a deep look through the proxy."""
    changed = {
        "network": network(federation, proxy=proxy.url),
        "probe": {"interval": "1h", "timeout": f"{1000 * seconds:.0f}ms"},
    }
    prober = wiring.build_prober(config.load(write_config(folder / "config.yaml", federation, **changed)))
    return await prober.run_deep_look(await prober.probe(names.parse(server_name)))


def as_a_proxy_shows_it(stage: Stage, reason: Reason) -> tuple[Stage, Reason]:
    return Stage.TUNNEL if stage is Stage.TCP else stage, SHOWN_BY_A_PROXY.get(reason, reason)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.server_name)
async def test_the_problems_are_the_same(
    server: LabServer, federation: Federation, proxy: ConnectProxy, tmp_path: Path
) -> None:
    """Every way of discovery, both IP families, every fault of certificates, HTTP and keys."""
    silent = any(reason.endswith("timeout") for _, reason in server.expected)
    seconds = 3 * slowness() if silent else 60
    report = await probe(server.server_name, federation, proxy, tmp_path, seconds)
    found = {(located.stage, located.problem.reason) for located in verdict.problems(report)}
    assert found == {as_a_proxy_shows_it(*each) for each in server.expected}
    assert {located.warning for located in _state(report).warnings} == server.warnings
    assert verdict.proxy_failure(report) is None


def _state(report: Report) -> ServerState:
    return ServerState(WatchedServer(report.server_name, 300)).with_report(report)


async def test_each_group_has_its_own_proxy(federation: Federation, tmp_path: Path) -> None:
    """One of its own, that of the top level, or none although the top level has one."""
    (tmp_path / "credentials").write_text("ours:secret")
    groups: list[dict[str, object]] = [
        {"name": "theirs", "servers": ["a.test"]},
        {"name": "direct", "servers": ["b.test"], "network": {"proxy": None}},
    ]
    async with connect_proxy() as common, connect_proxy(demand("ours:secret")) as own:
        through = {"url": own.url, "credentials_file": "credentials"}
        groups.append({"name": "ours", "servers": ["c.test"], "network": {"proxy": through}})
        changed = {"network": network(federation, proxy=common.url), "groups": groups}
        settings = config.load(write_config(tmp_path / "config.yaml", federation, **changed))
        probers = wiring.build_probers(settings, wiring.build_networks(settings))
        used = {}
        for group, prober in probers.items():
            report = await prober.probe(names.parse(HEALTHY))
            assert verdict.federates(report), group
            used[group] = {found(endpoint.tunnel) for endpoint in report.endpoints}
    assert used == {"default": {common.address}, "theirs": {common.address}, "direct": {None}, "ours": {own.address}}
    assert wiring.proxies(settings) == {common.address, own.address}


@pytest.mark.system("apache2")
async def test_a_real_proxy(federation: Federation, tmp_path: Path) -> None:
    """Apache connects, demands a password, refuses a port, and says that nothing listens."""
    (tmp_path / "right").write_text("probe:pass:word")
    (tmp_path / "wrong").write_text("probe:password")
    refused = _port_of(federation, "192.0.2.105:8448")

    async def problems(server_name: str, ports: str, file: str = "right") -> set[tuple[Stage, Reason]]:
        with apache_as_forward_proxy(tmp_path, ports, "probe", "pass:word") as address:
            through = {"url": f"http://{address}", "credentials_file": file}
            changed = {"network": network(federation, proxy=through), "probe": {"interval": "1h", "timeout": "60s"}}
            prober = wiring.build_prober(config.load(write_config(tmp_path / "config.yaml", federation, **changed)))
            report = await prober.run_deep_look(await prober.probe(names.parse(server_name)))
        return {(located.stage, located.problem.reason) for located in verdict.problems(report)}

    assert await problems(HEALTHY, "1-65535") == set()
    assert (Stage.TUNNEL, Reason.PROXY_AUTHENTICATION) in await problems("refused.lab.test", "1-65535", "wrong")
    assert (Stage.TUNNEL, Reason.PROXY_FORBIDDEN) in await problems("refused.lab.test", f"1-{refused - 1}")
    assert await problems("refused.lab.test", "1-65535") == {(Stage.TUNNEL, Reason.TUNNEL_FAILED)}


def _port_of(federation: Federation, address: str) -> int:
    return int(federation.connect_to[address].rpartition(":")[2])


async def test_every_connection_goes_through_the_proxy(
    federation: Federation, proxy: ConnectProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the deep look too. It is asked for the addresses that the exporter has resolved."""
    dialled = set[str]()
    original = TcpStream.open

    async def record(stream: TcpStream, endpoint: IPEndpoint) -> None:
        dialled.add(host_port(str(endpoint[0]), endpoint[1]))
        await original(stream, endpoint)

    monkeypatch.setattr(TcpStream, "open", record)
    proxy.asked.clear()
    report = await probe(HEALTHY, federation, proxy, tmp_path, 60)
    assert verdict.federates(report)
    assert dialled == {proxy.address}
    assert set(proxy.asked) <= set(federation.connect_to.values())
    assert len(proxy.asked) > len(report.endpoints)


async def test_nobody_is_told_about_tcp(federation: Federation, proxy: ConnectProxy, tmp_path: Path) -> None:
    """Text, JSON, page and metrics have another stage in its place, and say through which proxy."""
    report = await probe(HEALTHY, federation, proxy, tmp_path, 60)
    stages = [Stage.TUNNEL, Stage.TLS, Stage.VERSION, Stage.KEYS]
    assert [stage for stage in verdict.stages(report) if stage not in (Stage.WELL_KNOWN, Stage.DNS)][:4] == stages
    for seen in report_json(report)["endpoints"]:
        assert [each["stage"] for each in seen["stages"]][:4] == stages
    text = report_text.render_plain(report)
    assert f"through the proxy {proxy.address}" in text
    assert " tcp " not in text
    (branch,) = way_view(report).branches
    for endpoint in branch.endpoints:
        assert [step.stage for step in endpoint.steps][:4] == stages
        assert endpoint.steps[0].findings == (f"through the proxy {proxy.address}",)


async def test_the_public_tester_s_document_names_the_tunnel(
    federation: Federation, proxy: ConnectProxy, tmp_path: Path
) -> None:
    document = json.dumps(tester_json.tester_json(await probe("refused.lab.test", federation, proxy, tmp_path, 60)))
    assert "tunnel: tunnel_failed" in document
