from collections import Counter
from collections.abc import Mapping

import pytest

from exporter.demo.servers import LabServer, Website
from tests.faults.matrix import GIVEN_UP_AFTER_SECONDS, complaints, probe_all
from tests.faults.measuring import Finding
from tests.lab.hostile import HOSTILE_SERVERS

pytestmark = pytest.mark.timeout(GIVEN_UP_AFTER_SECONDS)


@pytest.fixture(scope="session")
def findings() -> Mapping[str, Finding]:
    return probe_all()


@pytest.mark.parametrize("server", HOSTILE_SERVERS, ids=lambda server: server.server_name.partition(".")[0])
def test_a_hostile_server_is_named_in_time_and_leaves_no_trace(
    findings: Mapping[str, Finding], server: LabServer
) -> None:
    """The right reasons, within the deadline and 2 MiB, and no task, descriptor or internal error is left."""
    assert list(complaints(server, findings[server.server_name])) == []


def test_no_two_hostile_servers_share_a_name_or_an_address() -> None:
    """One would be taken for the other. Websites may share one: they tell by the name who is asked. So may those who
    have nothing there.
    """
    names = Counter(server.server_name for server in HOSTILE_SERVERS)
    nameless = {
        address for server in HOSTILE_SERVERS for address, port in server.ports.items() if not isinstance(port, Website)
    }
    addresses = Counter(address for server in HOSTILE_SERVERS for address in server.addresses() if address in nameless)
    assert [what for what, count in (names + addresses).items() if count > 1] == []
