"""Whatever a server leads to, and whoever asks for it: where the policy forbids it, not even a connection is begun."""

from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from exporter.internet import Internet
from exporter.internet.address_policy import AddressPolicy
from exporter.judging import verdict
from exporter.model.addresses import Endpoint, Target
from exporter.model.reasons import Reason
from tests.policy.attack_paths import ATTACK_PATHS, AttackPath
from tests.policy.probing import blamed, probed, prober
from tests.policy.table import FORMS, PERMITTED, REFUSED, Case
from tests.policy.wire import watched
from tests.policy.world import trap, world

BY_TEXT: Final = {name: door for name, door in ATTACK_PATHS.items() if door.by_text}
IN_VAIN: Final = {
    *(Reason.NXDOMAIN, Reason.INVALID_DELEGATION, Reason.REDIRECT),
    Reason.CONNECT_REFUSED,  # the fallback of a redirect
}


def test_the_tables_are_as_long_as_they_should_be() -> None:
    """Each case once, each with its reason and its source."""
    assert len(REFUSED) >= 200
    assert len({case.text for case in (*REFUSED, *FORMS, *PERMITTED)}) == len(REFUSED) + len(FORMS) + len(PERMITTED)
    assert all(case.why and case.source for case in (*REFUSED, *FORMS, *PERMITTED))


@pytest.mark.parametrize("door", [pytest.param(door, id=name) for name, door in ATTACK_PATHS.items()])
async def test_no_door_leads_to_a_refused_address(door: AttackPath, tmp_path: Path) -> None:
    """Each is blamed where it is met, and neither dialled, nor looked up by the operating system."""
    async with world(tmp_path) as at:
        asking = prober(at, tmp_path)
        server_names = [door.lead(at, case, at.trap.port) for case in REFUSED]
        with watched() as wire:
            reports = await probed(asking, server_names)
        assert at.trap.visits() == 0
        assert wire.dialled <= at.own_places()
        assert wire.looked_up == set()
    assert {case.text: report and blamed(report) for case, report in zip(REFUSED, reports, strict=True)} == {
        case.text: door.blamed for case in REFUSED
    }


@pytest.mark.parametrize("door", [pytest.param(door, id=name) for name, door in BY_TEXT.items()])
async def test_what_only_others_read_as_an_address_is_a_name_or_nothing(door: AttackPath, tmp_path: Path) -> None:
    """Our own resolver is asked for the name, where it is one; nobody makes an address of it."""
    async with world(tmp_path) as at:
        asking = prober(at, tmp_path)
        server_names = [door.lead(at, case, at.trap.port) for case in FORMS]
        with watched() as wire:
            reports = await probed(asking, server_names)
        assert at.trap.visits() == 0
        assert wire.dialled <= at.own_places()
        assert wire.looked_up == set()
    assert any(reports)
    for case, report in zip(FORMS, reports, strict=True):
        assert report is None or {reason for _, reason in blamed(report)} <= IN_VAIN | cut_off(case), case
        assert report is None or not verdict.federates(report), case


def cut_off(case: Case) -> set[Reason]:
    """What may be met where the end belongs to a URL, or is the dot that DNS has at the end of every name, and where
    the brackets are not part of an SRV target.
    """
    return {Reason.BLOCKED_ADDRESS} if case.text.removeprefix("[").startswith("127.0.0.1") else set()


async def test_what_the_policy_permits_is_dialled(tmp_path: Path) -> None:
    """Or else it would be no policy. Nothing leaves this machine: the test ends the attempt."""
    async with world(tmp_path) as at:
        asking = prober(at, tmp_path)
        with watched() as wire:
            reports = await probed(asking, [case.host for case in PERMITTED])
    assert wire.dialled == {(str(case.ip), 8448) for case in PERMITTED}
    assert {reason for report in reports if report for _, reason in blamed(report)} == {Reason.UNREACHABLE}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"])
async def test_the_trap_is_one(host: str) -> None:
    """Without the policy it is walked into."""
    internet = Internet(timeout=1, policy=AddressPolicy(public_only=False))
    with trap() as trapping:
        endpoint = Endpoint(Target(host, trapping.port), ip_address(host))
        with closing(internet.connection(endpoint)) as connection:
            await connection.open()
        assert trapping.visits() == 1
