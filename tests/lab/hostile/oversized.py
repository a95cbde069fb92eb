"""Servers with many addresses, each of which presents its own chain, as large as the exporter reads.

What the exporter keeps of one chain, it keeps of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from socket import socket
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo.authority import (
    Authority,
    IssuedCertificate,
    Issuer,
    authority_draft,
    common_name,
    new_p256_key,
)
from exporter.demo.ports import refuse_connections
from exporter.demo.servers import (
    HEALTHY,
    WELL_KNOWN_PORT,
    CertificateSource,
    LabServer,
    PortFactory,
    Website,
    federates,
)
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.certificates import new_rsa_key
from tests.lab.hostile.bad_certificates import (
    DAY,
    DIRECTORY_NAME,
    DNS_NAME,
    SEQUENCE,
    UNKNOWN_EXTENSION,
    WEAK_RSA_BITS,
    der,
    issue_with_intermediate,
    leaf_for,
    nameless_leaf,
    raw_names,
)
from tests.lab.hostile.connection_handlers import answer
from tests.lab.hostile.costly_chains import issued_by_slow_keys
from tests.lab.hostile.rows import Problems, found, numbered
from tests.lab.hostile.tls_records import certificate, server_hello
from tests.lab.ports import listen
from tests.lab.slow import slow_down

ADDRESSES = 16  # as many as the exporter dials of one name
PORTS = (8448, 8449)
CHAIN_BYTES = 18_500  # in all some 20 KiB, which is as much as the exporter reads of a handshake
NAMES = 370  # in all some 500 values, which is as many as a chain may have
NAME_BYTES = 253  # the longest name in DNS
AUTHORITIES = 8
DELAY_SECONDS = 0.02  # so that connections stay open beside others
EMPTY_NAME = der(DIRECTORY_NAME, der(SEQUENCE, b""))  # four bytes, for which OpenSSL allocates 232
EMPTY_NAMES = EMPTY_NAME * (CHAIN_BYTES // len(EMPTY_NAME))
TOO_LARGE = found(Stage.TLS, Reason.TOO_LARGE)
TOO_LARGE_EVERYWHERE = TOO_LARGE | found(Stage.WELL_KNOWN, Reason.TOO_LARGE)
BAD_CHAIN = found(
    Stage.TLS, Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_INVALID, Reason.CERTIFICATE_UNTRUSTED
) | found(Stage.WELL_KNOWN, Reason.CERTIFICATE_UNTRUSTED)

SLOW = found(Stage.TLS, Reason.CERTIFICATE_INVALID) | found(Stage.WELL_KNOWN, Reason.CERTIFICATE_INVALID)

NumberedPort: TypeAlias = Callable[[str, int], Website | PortFactory]
"""Makes what listens from the server name and a number, which differs for each address and port."""


@dataclass(frozen=True, slots=True)
class OversizedServer:
    """A row: a server with many addresses and two ports at each of them."""

    label: str
    shows: str
    port: NumberedPort
    expected: Problems

    def at(self, ip: str) -> LabServer:
        """Use addresses that begin with `ip`."""
        host = f"oversized-{self.label}.hostile.test"
        ips = [f"{ip}::{number:x}" for number in range(1, ADDRESSES + 1)]
        addresses = (f"{host} AAAA {ip}" for ip in ips)
        services = (f"_matrix-fed._tcp.{host} SRV 10 5 {port} {host}." for port in PORTS)
        reached = (host_port(ip, port) for port in (WELL_KNOWN_PORT, *PORTS) for ip in ips)
        ports = {address: self.port(host, number) for number, address in enumerate(reached)}
        zone = "\n".join((*addresses, *services))
        return LabServer(host, self.shows, Method.SRV_FED, zone, ports, self.expected)


def different(certificate: CertificateSource, delay: float = 0) -> NumberedPort:
    """Every port presents a certificate of its own: the federation shares those of equal sources, and no partial
    function is equal to another one.
    """
    return lambda name, _: federates(name, partial(certificate), proxy=slow_down(delay))


def equal(certificate: CertificateSource) -> NumberedPort:
    """Every port presents the same certificate."""
    return lambda name, _: federates(name, certificate)


# ---------------------------------------------------------------- chains


def leaf_with(authority: Authority, name: str, *extensions: x509.ExtensionType) -> IssuedCertificate:
    key = new_p256_key()
    leaf = nameless_leaf(name, key)
    for extension in extensions:
        leaf = leaf.add_extension(extension, critical=False)
    return issue_with_intermediate(authority, key, leaf)


def dns_names(*names: str) -> x509.UnrecognizedExtension:
    return raw_names(*(der(DNS_NAME, name.encode()) for name in names))


def padding(size: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(UNKNOWN_EXTENSION.oid, bytes(size))


def with_bytes(authority: Authority, name: str) -> IssuedCertificate:
    return leaf_with(authority, name, dns_names(name), padding(CHAIN_BYTES))


def with_long_names(authority: Authority, name: str) -> IssuedCertificate:
    others = (f"n{number}.".ljust(NAME_BYTES, "n") for number in range(CHAIN_BYTES // (NAME_BYTES + 5)))
    return leaf_with(authority, name, dns_names(name, *others))


def with_everything(authority: Authority, name: str) -> IssuedCertificate:
    """Use as many values and bytes as are allowed, and names that are long enough to be a burden."""
    others = [f"{number}".rjust(20, "n") for number in range(NAMES)]
    return leaf_with(authority, name, dns_names(name, *others), padding(CHAIN_BYTES - 22 * NAMES))


def with_empty_names(authority: Authority, name: str) -> IssuedCertificate:
    return leaf_with(authority, name, raw_names(der(DNS_NAME, name.encode()), EMPTY_NAMES))


def with_weak_authorities(_: Authority, name: str) -> IssuedCertificate:
    """Each is signed by the next one, and all have expired."""
    key, weak = new_p256_key(), new_rsa_key(WEAK_RSA_BITS)
    issuers = [Issuer(common_name(f"Authority {number}"), weak) for number in range(AUTHORITIES + 1)]
    above = (other.sign(authority_draft(signed, path_length=None, ends=-DAY)) for signed, other in pairwise(issuers))
    return IssuedCertificate(key, (issuers[0].sign(leaf_for(name, key)), *above))


# ---------------------------------------------------------------- the table


def mixed(name: str, number: int) -> Website | PortFactory:
    """Some homeservers are too large. The web servers are all alike: the exporter may try any of them first."""
    too_large = number >= ADDRESSES and number % 4 == 0
    make = equal(with_empty_names) if too_large else different(with_everything, DELAY_SECONDS)
    return make(name, number)


def unfinished(_: str, number: int) -> Website | PortFactory:
    return refuse_connections if number < ADDRESSES else listen(begin_handshake)


async def begin_handshake(accepted: socket) -> None:
    """Stall after the certificates: OpenSSL has read them by then."""
    await answer(server_hello() + certificate(_leaf_with_empty_names()))(accepted)


@cache
def _leaf_with_empty_names() -> bytes:
    issuer = Issuer(common_name("Nobody"), new_rsa_key(WEAK_RSA_BITS))
    leaf = nameless_leaf("nobody.test", issuer.key).add_extension(raw_names(EMPTY_NAMES), critical=False)
    return issuer.sign(leaf).public_bytes(Encoding.DER)


OVERSIZED_SERVERS = numbered(
    "2001:db8:0:",
    (
        OversizedServer("bytes", "certificates with a large unknown extension", different(with_bytes), HEALTHY),
        OversizedServer("same", "the same large certificate everywhere", equal(with_bytes), HEALTHY),
        OversizedServer("names", "certificates with the longest possible names", different(with_long_names), HEALTHY),
        OversizedServer("weak", "long chains with many faults", different(with_weak_authorities), BAD_CHAIN),
        OversizedServer(
            "all", "as much of everything as is allowed", different(with_everything, DELAY_SECONDS), HEALTHY
        ),
        OversizedServer("values", "thousands of empty names", equal(with_empty_names), TOO_LARGE_EVERYWHERE),
        OversizedServer("mixed", "thousands of empty names, or as much as is allowed", mixed, TOO_LARGE),
        OversizedServer("slow", "chains that take long to verify", equal(issued_by_slow_keys(8)), SLOW),
        OversizedServer("unfinished", "thousands of empty names, and then silence", unfinished, TOO_LARGE),
    ),
)
