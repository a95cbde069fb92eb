"""Ports of other services: no server can make the exporter talk to a mail server, for example."""

from pathlib import Path
from typing import Final

import pytest

from exporter.internet.address_policy import PORTS, AddressPolicy
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.policy.attack_paths import ATTACK_PATHS, AttackPath
from tests.policy.probing import make_prober, probe_all, problems_of
from tests.policy.socket_activity import recorded_activity
from tests.policy.table import Case
from tests.policy.world import hostile_world

pytestmark = pytest.mark.lab

PUBLIC: Final = Case("8.8.8.8", "a public address", "")
INSTEAD_OF_PORT_0: Final = {(PUBLIC.text, 8448)}
"""Synapse ignores port 0 in `m.server`, and the exporter sees what it finds there."""
BROWSERS_REFUSE: Final = frozenset(
    {
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)
"""https://fetch.spec.whatwg.org/#port-blocking"""
WITH_PORT: Final = {name: path for name, path in ATTACK_PATHS.items() if name not in {"literal", "address", "alias"}}


def test_the_ports_are_those_of_browsers_and_a_few_more() -> None:
    assert PORTS.keys() == BROWSERS_REFUSE | {0, 6379, 11211}


@pytest.mark.parametrize(("name", "path"), WITH_PORT.items(), ids=WITH_PORT)
async def test_no_path_leads_to_the_port_of_another_service(name: str, path: AttackPath, tmp_path: Path) -> None:
    """The port is refused even at a public address."""
    async with hostile_world(tmp_path) as world:
        server_names = [path.prepare(world, PUBLIC, port) for port in PORTS]
        with recorded_activity() as activity:
            reports = await probe_all(make_prober(world, tmp_path), server_names)
        assert activity.dialled - INSTEAD_OF_PORT_0 <= world.allowed_addresses()
    found = {port: report and problems_of(report) for port, report in zip(PORTS, reports, strict=True)}
    no_port = {0: {(Stage.SRV, Reason.SRV_PORT_ZERO)}} if "SRV" in name else {}
    assert found == dict.fromkeys(PORTS, path.problems) | no_port


@pytest.mark.parametrize("port", [1, 24, 26, 80, 443, 1024, 6378, 6380, 6664, 6670, 8008, 8443, 8448, 10081, 65535])
def test_every_other_port_passes(port: int) -> None:
    """A server may federate on any of them, and on those of other services that the operator allows."""
    assert AddressPolicy(allowed_ports={1}).refusal(PUBLIC.ip, port) is None


def test_the_refusal_says_which_service_and_which_key() -> None:
    assert AddressPolicy(allowed_ports={6697}).refusal(PUBLIC.ip, 25) == (
        "port 25 belongs to another service (smtp), and network.allow_ports does not allow it"
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, Reason.BLOCKED_ADDRESS),
        ({"allow_ports": [6379]}, Reason.BLOCKED_ADDRESS),
        ({"allow_networks": ["8.8.8.0/24"]}, Reason.BLOCKED_ADDRESS),
        ({"allow_ports": [6379, 6697]}, Reason.UNREACHABLE),
        ({"address_policy": "any"}, Reason.UNREACHABLE),
    ],
)
async def test_only_the_configuration_opens_such_ports(
    settings: dict[str, object], reason: Reason, tmp_path: Path
) -> None:
    """It can open single ports or all of them. Allowed networks open no port."""
    async with hostile_world(tmp_path) as world:
        with recorded_activity() as activity:
            (report,) = await probe_all(make_prober(world, tmp_path, **settings), ["8.8.8.8:6697"])
    assert report
    assert {found for _, found in problems_of(report)} == {reason}
    assert (("8.8.8.8", 6697) in activity.dialled) is (reason is Reason.UNREACHABLE)


async def test_an_allowed_port_allows_no_address(tmp_path: Path) -> None:
    async with hostile_world(tmp_path) as world:
        (report,) = await probe_all(make_prober(world, tmp_path, allow_ports=[6697]), ["10.0.0.1:6697"])
    assert report
    assert {reason for _, reason in problems_of(report)} == {Reason.BLOCKED_ADDRESS}


async def test_connect_to_allows_any_port(tmp_path: Path) -> None:
    """Both the address that it names and the address that stands for it may have a refused port."""
    async with hostile_world(tmp_path) as world:
        connect_to = {"192.0.2.9:25": world.closed.address, "mail.test:25": world.closed.address}
        prober = make_prober(world, tmp_path, connect_to=connect_to)
        reports = await probe_all(prober, ["192.0.2.9:25", "mail.test:25"])
    assert [{reason for _, reason in problems_of(report)} for report in reports if report] == [
        {Reason.CONNECT_REFUSED}
    ] * 2
