"""A machine that has no local port left for a connection."""

import json

import pytest

from tests.internet.without_ports import NUMBER_OF_PORTS
from tests.namespaces import run_python

FEW_PORTS = f"sysctl -qw net.ipv4.ip_local_port_range='20000 {20000 + NUMBER_OF_PORTS - 1}'"
WITHOUT_ADDRESS = """
import asyncio, errno, socket
from ipaddress import ip_address
from exporter.internet.tcp import TcpStream
from exporter.internet.peer_clock import PeerClock
from exporter.probing import problems
try:
    asyncio.run(TcpStream(PeerClock()).open((ip_address("2001:db8::1"), 8448)))
except OSError as error:
    print(errno.errorcode[error.errno], problems.missing_resource(error))
"""


@pytest.mark.system("ip")
def test_no_server_is_blamed_if_the_exporter_has_no_local_port_left() -> None:
    """The kernel says EADDRNOTAVAIL for TCP and EAGAIN for UDP."""
    code = "import runpy; runpy.run_module('tests.internet.without_ports', run_name='__main__')"
    shortage = ["ResourceShortage", "internal_error", "the exporter has no local ports left"]
    assert json.loads(run_python(code, (FEW_PORTS,))) == dict.fromkeys(("tcp", "dns", "dns over tcp"), shortage)


@pytest.mark.system("ip")
def test_a_machine_without_an_address_of_the_ip_family_has_ports_left() -> None:
    """The kernel says EADDRNOTAVAIL there too."""
    assert run_python(WITHOUT_ADDRESS, ("sysctl -qw net.ipv6.conf.all.disable_ipv6=1",)) == "EADDRNOTAVAIL None"
