"""How many connections one probe makes, whatever a server name leads to."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from exporter.demo.https_server import json_response
from exporter.judging import peers
from exporter.model import names
from exporter.model.enums import Implementation
from exporter.model.findings import SrvRecord
from exporter.model.report import Report
from exporter.probing.prober import Prober
from exporter.probing.stages.dns import MAX_ENDPOINTS, MAX_PORTS
from tests.fake_world import FakeNetwork, healthy_homeserver, http_response, srv_record, website

SECONDS: Final = 60.0  # everything responds at once
VICTIM: Final = "192.0.2.66"
MANY: Final = tuple(f"192.0.2.{number}" for number in range(100, 140))
_, DENDRITE, CONDUIT = Implementation


async def probe_with_deep_look(network: FakeNetwork) -> Report:
    prober = Prober(network, SECONDS)
    return await prober.run_deep_look(await prober.probe(names.parse("example.test")))


def opened(calls: Iterable[str]) -> list[str]:
    return [line.split()[1] for line in calls if line.startswith("open ")]


def many_ports(host: str) -> tuple[SrvRecord, ...]:
    return tuple(srv_record(10, 5, 9000 + number, host) for number in range(40))


async def test_few_ports_of_one_address_are_probed() -> None:
    """SRV records can name forty ports of a machine that belongs to somebody else."""
    network = FakeNetwork({"victim.test": (VICTIM,)}, {"_matrix-fed._tcp.example.test": many_ports("victim.test")})
    report = await probe_with_deep_look(network)
    assert len(report.endpoints) == MAX_PORTS
    assert len(opened(network.calls)) == MAX_PORTS + 1  # the Conduit family takes a way of its own, to the first target


async def test_an_address_is_connected_to_once_at_a_time() -> None:
    """Other addresses are probed meanwhile."""
    network = FakeNetwork({"victim.test": (VICTIM,)}, {"_matrix-fed._tcp.example.test": many_ports("victim.test")})
    for number in range(40):
        network.servers[f"{VICTIM}:{9000 + number}"] = healthy_homeserver("example.test", "example.test")
    await Prober(network, SECONDS).probe(names.parse("example.test"))
    steps = [line.split()[0] for line in network.calls if VICTIM in line]
    in_order = [step for step in steps if step in {"open", "close"}]
    assert in_order == ["open", "close"] * (MAX_PORTS + 1)


async def test_the_ways_of_all_homeservers_together_are_limited() -> None:
    """Each of them can lead to other addresses than the specification does."""
    network = FakeNetwork(
        {"example.test": ("192.0.2.1",), "own.test": MANY[:16], "dendrite.test": MANY[16:32]},
        {
            "_matrix-fed._tcp.example.test": tuple(srv_record(10, 0, port, "own.test") for port in (1, 2)),
            "_matrix-fed._tcp.delegated.test": tuple(srv_record(10, 0, port, "dendrite.test") for port in (1, 2)),
        },
        {"192.0.2.1:443": website("example.test", http_response(json_response({"M.Server": "delegated.test"})))},
    )
    report = await Prober(network, SECONDS).probe(names.parse("example.test"))
    assert {DENDRITE, CONDUIT} <= set(report.detours)
    assert len(peers.verdicts(report)) == len(Implementation)
    dialled = Counter(address for address in opened(network.calls) if not address.endswith(":443"))
    assert sum(dialled.values()) <= 2 * MAX_ENDPOINTS


async def test_a_deep_look_visits_few_of_many_endpoints() -> None:
    """It makes more than ten requests to each."""
    network = FakeNetwork({"example.test": MANY})
    for address in MANY:
        network.servers[f"{address}:8448"] = healthy_homeserver("example.test", "example.test")
    report = await probe_with_deep_look(network)
    assert len(report.endpoints) == MAX_ENDPOINTS
    assert [endpoint.deep is not None for endpoint in report.endpoints] == [True] * 8 + [False] * (MAX_ENDPOINTS - 8)
