"""No server can make the exporter ask its proxy for an address that the policy forbids."""

from pathlib import Path

import pytest

from exporter.model.addresses import host_port
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.lab.connect_proxy import connect_proxy
from tests.policy.attack_paths import ATTACK_PATHS, AttackPath, Problems
from tests.policy.probing import make_prober, probe_all, problems_of
from tests.policy.table import REFUSED
from tests.policy.world import hostile_world

pytestmark = pytest.mark.lab


def through_a_proxy(problems: Problems) -> Problems:
    """Return the problems of a path as a proxy shows them, which cannot tell why it does not connect."""
    return frozenset(
        (
            Stage.TUNNEL if stage is Stage.TCP else stage,
            Reason.TUNNEL_FAILED if reason is Reason.CONNECT_REFUSED else reason,
        )
        for stage, reason in problems
    )


@pytest.mark.parametrize("path", [pytest.param(path, id=name) for name, path in ATTACK_PATHS.items()])
async def test_no_path_leads_through_the_proxy_to_a_refused_address(path: AttackPath, tmp_path: Path) -> None:
    """The stage that finds the address fails, and the proxy is asked for addresses only, never for names."""
    async with hostile_world(tmp_path) as world, connect_proxy() as proxy:
        prober = make_prober(world, tmp_path, proxy=proxy.url)
        reports = await probe_all(prober, [path.prepare(world, case, world.trap.port) for case in REFUSED])
        assert world.trap.count_connections() == 0
        assert set(proxy.asked) <= {host_port(ip, port) for ip, port in world.allowed_addresses()}
    assert {case.text: report and problems_of(report) for case, report in zip(REFUSED, reports, strict=True)} == {
        case.text: through_a_proxy(path.problems) for case in REFUSED
    }
