"""The exporter as one more server of the embedded federation, which the homeservers connect to."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from exporter.demo.federation import Federation
from exporter.demo.listener import LOOPBACK, free_port
from exporter.model.addresses import IPAddress
from exporter.model.enums import IPFamily
from exporter.outbound.signing import generate_seed

OWN_NAME: Final = "exporter.lab.test"
_ADDRESSES: Final = {IPFamily.IPV4: ip_address("192.0.2.240"), IPFamily.IPV6: ip_address("2001:db8::240")}
BY_FAMILY: Final = {family.value: f"{family}.{OWN_NAME}" for family in IPFamily}
"""The names with addresses of one IP family."""
_NAMES: Final[Mapping[str, Sequence[IPAddress]]] = {
    OWN_NAME: tuple(_ADDRESSES.values()),
    **{f"{family}.{OWN_NAME}": (ip,) for family, ip in _ADDRESSES.items()},
}


def join(federation: Federation, folder: Path, interval: str) -> dict[str, Any]:
    """Let all homeservers know the exporter, and return the section `outbound` of its configuration.

    Its key and its certificate are in `folder`, where the configuration has to be.
    """
    port = free_port()
    (folder / "certificate.pem").write_bytes(federation.introduce(_NAMES, port).pem)
    key_file = folder / "signing.key"
    key_file.touch(0o600)
    key_file.write_text(str(generate_seed()), encoding="ascii")
    return {
        "server_name": OWN_NAME,
        "signing_key_file": key_file.name,
        "listen": [f"{LOOPBACK}:{port}"],
        "tls": {"cert_file": "certificate.pem", "key_file": "certificate.pem"},
        "interval": interval,
        "by_family": BY_FAMILY,
    }
