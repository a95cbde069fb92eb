"""A real Synapse and the exporter, in both directions. The exporter's name is an address, so Synapse needs no DNS."""

import re
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter.config import HostPort, OutboundNames, OutboundSettings, OutboundTls
from exporter.demo.authority import Authority
from exporter.demo.listener import LOOPBACK, free_port
from exporter.internet import Internet
from exporter.judging import verdict
from exporter.model import names
from exporter.model.enums import IPFamily, OutboundMethod, Stage
from exporter.model.findings import CameBack
from exporter.model.names import ServerName
from exporter.model.outcomes import found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.outbound.looks import OutboundLooks
from exporter.outbound.signing import generate_seed
from exporter.probing.attempt import Deadline
from exporter.probing.prober import Prober
from exporter.probing.stages import keys, version
from exporter.web.outbound_service import OutboundService
from tests.addresses import ip_endpoint
from tests.e2e.nginx import Site, nginx
from tests.e2e.processes import log_on_failure
from tests.e2e.synapse import synapse
from tests.endurance.serving import FAKETIME
from tests.outbound.both_ways import write_private
from tests.programs import program
from tests.waiting import until

pytestmark = pytest.mark.synapse

NAME = names.parse("synapse.test:8448")
SECONDS = 60.0
LOOKS = 5
ONE_NAME = OutboundNames()
WELL_KNOWN_FOR_CLIENTS = "/.well-known/matrix/client"


@dataclass
class BothWays:
    """A running Synapse, and the exporter's side of it."""

    network: Internet
    prober: Prober
    looks: OutboundLooks

    async def look(self) -> Report:
        return await self.looks.add_if_due(self.network, await self.prober.probe(NAME), None)


@asynccontextmanager
async def both_ways(
    folder: Path, proxy: str | None = None, by_family: OutboundNames = ONE_NAME, **changed: object
) -> AsyncIterator[BothWays]:
    """Run Synapse, with changed settings, and a listener that it can reach, by more names if there are any.

    `proxy` are the locations of an nginx in front of it, where SYNAPSE stands for its address.
    """
    authority = Authority(folder)
    settings = write_settings(authority, folder, by_family)
    trust = {"federation_custom_ca_list": [str(authority.ca_file)], "ip_range_blacklist": []}
    with ExitStack() as stack:
        certificate = authority.issue([NAME.host])
        homeserver = stack.enter_context(synapse(folder, NAME.text, certificate, **{**trust, **changed}))
        stack.enter_context(log_on_failure(homeserver.log))
        address = homeserver.https_address
        if proxy:
            (inner := folder / "nginx").mkdir()
            site = Site(certificate, proxy.replace("SYNAPSE", homeserver.http_address))
            (address,) = stack.enter_context(nginx(inner, [site]))
        network = Internet(
            timeout=SECONDS,
            resolvers=lambda: [(ip_address("192.0.2.53"), 53)],  # names with a port and a known place ask for none
            ca_file=authority.ca_file,
            connect_to={
                NAME.text: ip_endpoint(address),
                f"{NAME.host}:443": ip_endpoint(address),  # where there is no well-known
                **{name.text: ip_endpoint(name.text) for name in own_names(settings)},
            },
        )
        service, prober = OutboundService(), Prober(network, SECONDS)
        async with service.run(settings):
            assert await service.check(prober, network)
            assert service.looks
            yield BothWays(network, prober, service.looks)


def write_settings(authority: Authority, folder: Path, by_family: OutboundNames) -> OutboundSettings:
    write_private(folder / "own.key", str(generate_seed()))
    settings = OutboundSettings(
        names.parse(f"{LOOPBACK}:{free_port()}"),
        folder / "own.key",
        tls=OutboundTls(folder / "own.pem", folder / "own.pem"),
        by_family=by_family,
    )
    own = own_names(settings)
    (folder / "own.pem").write_bytes(authority.issue([name.host for name in own]).pem)
    return replace(settings, listen=tuple(HostPort(name.host, name.port or 0) for name in own))


def own_names(settings: OutboundSettings) -> list[ServerName]:
    more = settings.by_family
    return [name for name in (settings.server_name, more.ipv4, more.ipv6) if name]


def came_back(report: Report) -> CameBack | None:
    assert report.outbound
    return found(report.outbound.outcome)


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


@pytest.mark.parametrize("method", OutboundMethod)
async def test_each_accepts_what_the_other_signs(tmp_path: Path, method: OutboundMethod) -> None:
    """Synapse comes back whichever way it is made to: for an alias, as a notary, or for the keys alone."""
    async with both_ways(tmp_path) as running:
        await running.looks.way(running.network, NAME, Deadline.for_probe(SECONDS))
        for better in list(OutboundMethod)[: list(OutboundMethod).index(method)]:
            running.looks.rule_out(NAME, better)
        report = await running.look()
    assert problems(report) == set()
    assert came_back(report) == CameBack(method, IPFamily.IPV4)


async def test_an_allow_list_without_the_exporter_is_told_from_a_firewall(tmp_path: Path) -> None:
    async with both_ways(tmp_path, federation_domain_whitelist=["elsewhere.test"]) as running:
        assert problems(await running.look()) == {(Stage.OUTBOUND, Reason.FEDERATION_DENIED)}


async def test_a_synapse_that_cannot_reach_others_is_seen(tmp_path: Path) -> None:
    """It refuses loopback, as a firewall would. From outside, everything is healthy."""
    async with both_ways(tmp_path, ip_range_blacklist=["127.0.0.0/8"]) as running:
        report = await running.look()
    assert problems(report) == {(Stage.OUTBOUND, Reason.OUTBOUND_UNREACHABLE)}
    assert verdict.federates(report)


def rows(database: Path) -> Counter[str]:
    """Return how many rows each table has."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=SECONDS)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return Counter({name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables})


def requests_of_looks(log: Path) -> list[str]:
    """Return the path of each request that Synapse has answered, apart from those of probes and the one once a day."""
    paths: list[str] = re.findall(r'Processed request: .*"[A-Z]+ (\S+) HTTP', log.read_text())
    return [path for path in paths if path not in (version.PATH, keys.PATH, WELL_KNOWN_FOR_CLIENTS)]


@pytest.mark.parametrize("client_api", [True, False], ids=["client API", "no client API"])
@pytest.mark.parametrize("refused", [[], ["127.0.0.0/8"]], ids=["comes back", "cannot come"])
async def test_looks_cost_a_synapse_two_requests_each_and_one_row(
    tmp_path: Path, refused: list[str], *, client_api: bool
) -> None:
    """Whether or not it can come, and from the first look on, in which it shows what it does not support."""
    resources = [{"names": ["client", "federation"] if client_api else ["federation"]}]
    listener = {"type": "http", "port": 0, "bind_addresses": [LOOPBACK], "resources": resources}
    listeners, log = [listener, listener | {"tls": True}], tmp_path / "synapse.log"
    async with both_ways(tmp_path, ip_range_blacklist=refused, listeners=listeners) as running:
        before = rows(tmp_path / "synapse.db")
        for _ in range(LOOKS):
            await running.look()
        await until(lambda: len(requests_of_looks(log)) >= 2 * LOOKS)  # it logs a request after its answer
        stored = rows(tmp_path / "synapse.db") - before
    assert len(requests_of_looks(log)) == 2 * LOOKS
    assert stored == ({} if refused else {"server_keys_json": 1, "server_signature_keys": 1})


def by_family() -> OutboundNames:
    """Return names with ports that are free: an address of each IP family."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        ipv6 = names.parse(f"[::1]:{listening.getsockname()[1]}")
    return OutboundNames(names.parse(f"127.0.0.2:{free_port()}"), ipv6)


@pytest.mark.parametrize(
    ("refused", "reached"),
    [
        ([], {IPFamily.IPV4: True, IPFamily.IPV6: True}),
        (["::1/128"], {IPFamily.IPV4: True, IPFamily.IPV6: False}),
        (["127.0.0.0/8"], {IPFamily.IPV4: False, IPFamily.IPV6: True}),
    ],
    ids=["both", "IPv4", "IPv6"],
)
async def test_a_synapse_that_reaches_others_over_one_family_is_told_by_one_look(
    tmp_path: Path, refused: list[str], reached: dict[IPFamily, bool]
) -> None:
    """It takes two requests, as with one name, and leaves a row for the name that a signed request was sent as."""
    async with both_ways(tmp_path, by_family=by_family(), ip_range_blacklist=refused) as running:
        before = rows(tmp_path / "synapse.db")
        report = await running.look()
        await until(lambda: len(requests_of_looks(tmp_path / "synapse.log")) >= 2)
        stored = rows(tmp_path / "synapse.db") - before
    assert report.outbound
    assert {family: bool(found(each)) for family, each in report.outbound.by_family.items()} == reached
    assert problems(report) == set()
    assert len(requests_of_looks(tmp_path / "synapse.log")) == 2
    row = {"server_keys_json": 1, "server_signature_keys": 1}
    assert stored == (row if reached[IPFamily.IPV4] else {})


FORWARDED = "location /_matrix/ { proxy_pass http://SYNAPSE; proxy_set_header Host $http_host; MORE }"


@pytest.mark.system("nginx")
@pytest.mark.parametrize(
    ("proxy", "reason", "lookups_pass"),
    [
        (FORWARDED.replace("MORE", ""), None, True),
        (FORWARDED.replace("MORE", 'proxy_set_header Authorization "";'), Reason.AUTHORIZATION_STRIPPED, False),
        (FORWARDED.replace("SYNAPSE;", "SYNAPSE/_matrix/;").replace("MORE", ""), Reason.SIGNATURE_REJECTED, True),
        (FORWARDED.replace("SYNAPSE;", "SYNAPSE$uri;").replace("MORE", ""), Reason.SIGNATURE_REJECTED, False),
    ],
    ids=["good", "strips Authorization", "decodes paths", "decodes paths and loses queries"],
)
async def test_a_proxy_that_changes_signed_requests_is_seen(
    tmp_path: Path, proxy: str, reason: Reason | None, *, lookups_pass: bool
) -> None:
    """Everything else passes: version, keys and unsigned lookups. The next look shows what happens to signed ones."""
    expected = {(Stage.OUTBOUND, reason)} if reason else set()
    async with both_ways(tmp_path, proxy) as running:
        assert problems(await running.look()) == expected
        report = await running.look()
    assert problems(report) == expected
    assert verdict.federates(report) is lookups_pass


def faketime() -> str:
    """Return the library that changes the time for a program."""
    program("faketime")
    return str(next(Path("/usr/lib").glob(FAKETIME)))


@pytest.mark.system("faketime")
async def test_a_clock_that_is_an_hour_ahead_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synapse fetches the exporter's keys, and finds them expired."""
    for name, value in {"LD_PRELOAD": faketime(), "FAKETIME": "+1h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}.items():
        monkeypatch.setenv(name, value)  # for the programs that are started from now on
    async with both_ways(tmp_path) as running:
        assert problems(await running.look()) == {(Stage.OUTBOUND, Reason.OUTBOUND_CLOCK)}
