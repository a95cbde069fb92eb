"""The ports of other services: a server must not make us speak to somebody's mail server."""

from pathlib import Path
from typing import Final

import pytest

from exporter.internet.address_policy import AddressPolicy
from exporter.internet.special_purpose import PORTS
from exporter.model.reasons import Reason
from tests.policy.attack_paths import ATTACK_PATHS, AttackPath
from tests.policy.probing import blamed, probed, prober
from tests.policy.table import Case
from tests.policy.wire import watched
from tests.policy.world import world

PUBLIC: Final = Case("8.8.8.8", "a public address", "")
BROWSERS_REFUSE: Final = frozenset(
    {
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)
"""https://fetch.spec.whatwg.org/#port-blocking"""
WITH_PORT: Final = {name: door for name, door in ATTACK_PATHS.items() if name not in {"literal", "address", "alias"}}


def test_the_ports_are_those_of_browsers_and_a_few_more() -> None:
    assert PORTS.keys() == BROWSERS_REFUSE | {0, 6379, 11211}


@pytest.mark.parametrize("door", [pytest.param(door, id=name) for name, door in WITH_PORT.items()])
async def test_no_door_leads_to_the_port_of_another_service(door: AttackPath, tmp_path: Path) -> None:
    """Not even at a public address. The detail says which port, and what to do."""
    async with world(tmp_path) as at:
        server_names = [door.lead(at, PUBLIC, port) for port in PORTS]
        with watched() as wire:
            reports = await probed(prober(at, tmp_path), server_names)
        assert wire.dialled <= at.own_places()
    assert {port: report and blamed(report) for port, report in zip(PORTS, reports, strict=True)} == dict.fromkeys(
        PORTS, door.blamed
    )


@pytest.mark.parametrize("port", [1, 24, 26, 80, 443, 1024, 6378, 6380, 6664, 6670, 8008, 8443, 8448, 10081, 65535])
def test_every_other_port_passes(port: int) -> None:
    """A server may federate at any of them; of the others, those that the operator allows."""
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
    """Those that it names, or all. Allowed networks open none."""
    async with world(tmp_path) as at:
        with watched() as wire:
            (report,) = await probed(prober(at, tmp_path, **settings), ["8.8.8.8:6697"])
    assert report
    assert {why for _, why in blamed(report)} == {reason}
    assert (("8.8.8.8", 6697) in wire.dialled) is (reason is Reason.UNREACHABLE)


async def test_an_allowed_port_allows_no_address(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        (report,) = await probed(prober(at, tmp_path, allow_ports=[6697]), ["10.0.0.1:6697"])
    assert report
    assert {why for _, why in blamed(report)} == {Reason.BLOCKED_ADDRESS}


async def test_the_word_of_the_operator_counts_for_ports_too(tmp_path: Path) -> None:
    """A place that `connect_to` names may have any port, and so may the one that it is reached from."""
    async with world(tmp_path) as at:
        places = {"192.0.2.9:25": at.nobody.address, "mail.test:25": at.nobody.address}
        reports = await probed(prober(at, tmp_path, connect_to=places), ["192.0.2.9:25", "mail.test:25"])
    assert [{why for _, why in blamed(report)} for report in reports if report] == [{Reason.CONNECT_REFUSED}] * 2
