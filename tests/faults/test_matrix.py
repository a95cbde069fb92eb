from collections import Counter
from collections.abc import Mapping

import pytest

from exporter.demo.servers import LabServer, Website
from tests.faults.matrix import MAX_SECONDS, complaints, probe_all
from tests.faults.measuring import Finding
from tests.lab.hostile import HOSTILE_SERVERS

pytestmark = pytest.mark.timeout(MAX_SECONDS)


@pytest.fixture(scope="session")
def findings() -> Mapping[str, Finding]:
    return probe_all()


@pytest.mark.matrix
@pytest.mark.parametrize("server", HOSTILE_SERVERS, ids=lambda server: server.server_name.partition(".")[0])
def test_the_exporter_withstands_a_hostile_server(findings: Mapping[str, Finding], server: LabServer) -> None:
    """It finds the right reasons, within its timeout and 2 MiB, and leaks no task, descriptor or exception."""
    assert list(complaints(server, findings[server.server_name])) == []


def test_no_two_hostile_servers_share_a_name_or_an_address() -> None:
    """Websites may share an address, because SNI tells them apart, and so may servers with no port there."""
    names = Counter(server.server_name for server in HOSTILE_SERVERS)
    exclusive = {
        address for server in HOSTILE_SERVERS for address, port in server.ports.items() if not isinstance(port, Website)
    }
    addresses = Counter(address for server in HOSTILE_SERVERS for address in server.addresses() if address in exclusive)
    assert [duplicate for duplicate, count in (names + addresses).items() if count > 1] == []
