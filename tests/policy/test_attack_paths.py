"""No server and no client can make the exporter begin a connection that the policy forbids."""

from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from exporter.demo.https_server import NOT_FOUND, SUPPORT
from exporter.internet import Internet
from exporter.internet.address_policy import AddressPolicy
from exporter.judging import verdict
from exporter.model.addresses import Endpoint, Target
from exporter.model.reasons import Reason
from tests.policy.attack_paths import ATTACK_PATHS, AttackPath, redirect_to
from tests.policy.probing import make_prober, probe_all, problems_of
from tests.policy.socket_activity import recorded_activity
from tests.policy.table import FORMS, PERMITTED, REFUSED, Case
from tests.policy.world import hostile_world, trap

pytestmark = pytest.mark.lab

WITH_TEXT: Final = {name: path for name, path in ATTACK_PATHS.items() if path.uses_text}
HARMLESS: Final = {
    *(Reason.NXDOMAIN, Reason.INVALID_DELEGATION, Reason.REDIRECT),
    Reason.CONNECT_REFUSED,  # the fallback of a redirect
}


def test_the_tables_are_complete() -> None:
    """Each case is there once, with its reason and its source."""
    assert len(REFUSED) >= 200
    assert len({case.text for case in (*REFUSED, *FORMS, *PERMITTED)}) == len(REFUSED) + len(FORMS) + len(PERMITTED)
    assert all(case.why and case.source for case in (*REFUSED, *FORMS, *PERMITTED))


@pytest.mark.parametrize("path", [pytest.param(path, id=name) for name, path in ATTACK_PATHS.items()])
async def test_no_path_leads_to_a_refused_address(path: AttackPath, tmp_path: Path) -> None:
    """The stage that finds the address fails; the address is not dialled, and not looked up by the operating system."""
    async with hostile_world(tmp_path) as world:
        prober = make_prober(world, tmp_path)
        server_names = [path.prepare(world, case, world.trap.port) for case in REFUSED]
        with recorded_activity() as activity:
            reports = await probe_all(prober, server_names)
        assert world.trap.count_connections() == 0
        assert activity.dialled <= world.allowed_addresses()
        assert activity.looked_up == set()
    assert {case.text: report and problems_of(report) for case, report in zip(REFUSED, reports, strict=True)} == {
        case.text: path.problems for case in REFUSED
    }


@pytest.mark.parametrize("by_name", [False, True])
async def test_no_support_document_leads_to_a_refused_address(by_name: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """The deep look asks for it, and follows redirects."""
    async with hostile_world(tmp_path) as world:
        prober, server_names = make_prober(world, tmp_path), []
        for case in REFUSED:
            name = world.name_with_well_known(NOT_FOUND)
            host = world.name_with_address(case.ip) if by_name else case.host
            world.website.sites[name].resources[SUPPORT] = redirect_to(host, world.trap.port)
            server_names.append(name)
        with recorded_activity() as activity:
            reports = await probe_all(prober, server_names, deep=True)
        assert world.trap.count_connections() == 0
        assert activity.dialled <= world.allowed_addresses()
        assert activity.looked_up == set()
        requested = [request.path for request in world.website.requests]
    assert requested.count(SUPPORT) == len(REFUSED)
    assert [report.deep.support for report in reports if report and report.deep] == [None] * len(REFUSED)


@pytest.mark.parametrize("path", [pytest.param(path, id=name) for name, path in WITH_TEXT.items()])
async def test_a_text_that_only_other_programs_read_as_an_address_is_a_name_or_invalid(
    path: AttackPath, tmp_path: Path
) -> None:
    """If it is a valid name, the exporter's own resolver looks it up; nothing turns it into an address."""
    async with hostile_world(tmp_path) as world:
        prober = make_prober(world, tmp_path)
        server_names = [path.prepare(world, case, world.trap.port) for case in FORMS]
        with recorded_activity() as activity:
            reports = await probe_all(prober, server_names)
        assert world.trap.count_connections() == 0
        assert activity.dialled <= world.allowed_addresses()
        assert activity.looked_up == set()
    for case, report in zip(FORMS, reports, strict=True):
        assert report is None or {reason for _, reason in problems_of(report)} <= HARMLESS | if_truncated(case), case
        assert report is None or not verdict.federates(report), case


def if_truncated(case: Case) -> set[Reason]:
    """Return what may be found where the address is only the start of the text.

    The rest may be part of a URL, the dot that every name has in DNS, or brackets, which an SRV target does not have.
    """
    return {Reason.BLOCKED_ADDRESS} if case.text.removeprefix("[").startswith("127.0.0.1") else set()


async def test_permitted_addresses_are_dialled(tmp_path: Path) -> None:
    """The connection does not leave this machine: the recording of socket activity stops it."""
    async with hostile_world(tmp_path) as world:
        prober = make_prober(world, tmp_path)
        with recorded_activity() as activity:
            reports = await probe_all(prober, [case.host for case in PERMITTED])
    assert activity.dialled == {(str(case.ip), 8448) for case in PERMITTED}
    assert {reason for report in reports if report for _, reason in problems_of(report)} == {Reason.UNREACHABLE}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"])
async def test_the_trap_notices_connections(host: str) -> None:
    """Without the policy, the exporter connects to it."""
    internet = Internet(timeout=1, policy=AddressPolicy(public_only=False))
    with trap() as listening_trap:
        endpoint = Endpoint(Target(host, listening_trap.port), ip_address(host))
        with closing(internet.connection(endpoint)) as connection:
            await connection.open()
        assert listening_trap.count_connections() == 1
