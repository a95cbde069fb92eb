"""Any number of healthy servers, for measurements."""

from exporter.demo.https_server import WELL_KNOWN, delegation
from exporter.demo.servers import WELL_KNOWN_PORT, LabServer, Proxy, Website, pass_through
from exporter.model.addresses import host_port
from exporter.model.enums import Method

_IP = "203.0.113.250"


def crowd(count: int, *, proxy: Proxy = pass_through) -> tuple[LabServer, ...]:
    """Return healthy servers like most of the real ones: a well-known, and federation on port 443 beside it.

    They share one address, one listener and one certificate, for a wildcard; each has a signing key of its own.
    """
    return tuple(_member(f"s{number}.many.lab.test", proxy) for number in range(1, count + 1))


def _member(name: str, proxy: Proxy) -> LabServer:
    resources = {WELL_KNOWN: delegation(host_port(name, WELL_KNOWN_PORT))}
    website = Website(name, resources, proxy=proxy, certificate_name="*.many.lab.test")
    return LabServer(
        name,
        "one of a crowd, with a well-known and federation on port 443",
        Method.WELL_KNOWN_PORT,
        zone=f"{name} A {_IP}",
        ports={host_port(_IP, WELL_KNOWN_PORT): website},
    )
