"""Servers of many addresses, each of which presents a chain of its own, as large as any that is read.

What is kept of one chain is kept of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from socket import socket

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.demo.authority import Authority, IssuedCertificate, Issuer, KeyType, authority_draft, common_name, new_key
from exporter.demo.ports import Fault
from exporter.demo.servers import HEALTHY, WELL_KNOWN_PORT, CertificateSource, LabServer, Place, RawPort, Website
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.bad_certificates import (
    DAY,
    DIRECTORY_NAME,
    DNS_NAME,
    SEQUENCE,
    UNKNOWN_EXTENSION,
    WEAK_RSA_BITS,
    a_leaf,
    der,
    for_name,
    issued,
    raw_names,
)
from tests.lab.hostile.connection_handlers import answers
from tests.lab.hostile.rows import Problems, found, numbered
from tests.lab.hostile.tls_records import certificate, server_hello

ADDRESSES = 16  # of a name, that are dialled
PORTS = (8448, 8449)
CHAIN_BYTES = 18_500  # with all else some 20 KiB, which is as much as is read of a handshake
NAMES = 370  # with all else some 500 values, which is as many as a chain may have
NAME_BYTES = 253  # the longest there is
AUTHORITIES = 8
SLOW_SECONDS = 0.02  # so that connections stay open beside others
NO_NAME = der(DIRECTORY_NAME, der(SEQUENCE, b""))  # four bytes, of which OpenSSL makes 232
NO_NAMES = NO_NAME * (CHAIN_BYTES // len(NO_NAME))
TOO_LARGE = found(Stage.TLS, Reason.TOO_LARGE)
TOO_LARGE_EVERYWHERE = TOO_LARGE | found(Stage.WELL_KNOWN, Reason.TOO_LARGE)
BAD_CHAIN = found(
    Stage.TLS, Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_INVALID, Reason.CERTIFICATE_UNTRUSTED
) | found(Stage.WELL_KNOWN, Reason.CERTIFICATE_UNTRUSTED)


@dataclass(frozen=True, slots=True)
class OversizedServer:
    """A row: `place` is made of the server name and of a number, another one for each address and port."""

    label: str
    shows: str
    place: Callable[[str, int], Place]
    expected: Problems
    delay: float = 0.0
    """Seconds before each answer."""

    def at(self, ip: str) -> LabServer:
        """At addresses that begin with `ip`."""
        host = f"giant-{self.label}.hostile.test"
        ips = [f"{ip}::{number:x}" for number in range(1, ADDRESSES + 1)]
        addresses = (f"{host} AAAA {ip}" for ip in ips)
        services = (f"_matrix-fed._tcp.{host} SRV 10 5 {port} {host}." for port in PORTS)
        reached = (host_port(ip, port) for port in (WELL_KNOWN_PORT, *PORTS) for ip in ips)
        places = {address: self.place(host, number) for number, address in enumerate(reached)}
        zone = "\n".join((*addresses, *services))
        return LabServer(host, self.shows, Method.SRV_FED, zone, places, self.expected, delay=self.delay)


def each_its_own(issue: CertificateSource) -> Callable[[str, int], Place]:
    return lambda name, _: Website(name, homeserver=True, issue=partial(issue))  # the lab takes it for another one


def all_the_same(issue: CertificateSource) -> Callable[[str, int], Place]:
    return lambda name, _: Website(name, homeserver=True, issue=issue)


# ---------------------------------------------------------------- chains


def leaf_with(authority: Authority, name: str, *extensions: x509.ExtensionType) -> IssuedCertificate:
    key = new_key(KeyType.EC)
    leaf = a_leaf(name, key)
    for extension in extensions:
        leaf = leaf.add_extension(extension, critical=False)
    return issued(authority, key, leaf)


def dns_names(*names: str) -> x509.UnrecognizedExtension:
    return raw_names(*(der(DNS_NAME, name.encode()) for name in names))


def stuffing(size: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(UNKNOWN_EXTENSION.oid, bytes(size))


def with_bytes(authority: Authority, name: str) -> IssuedCertificate:
    return leaf_with(authority, name, dns_names(name), stuffing(CHAIN_BYTES))


def with_long_names(authority: Authority, name: str) -> IssuedCertificate:
    others = (f"n{number}.".ljust(NAME_BYTES, "n") for number in range(CHAIN_BYTES // (NAME_BYTES + 5)))
    return leaf_with(authority, name, dns_names(name, *others))


def with_everything(authority: Authority, name: str) -> IssuedCertificate:
    """As many values and bytes as there may be, and names that are long enough to be a burden."""
    others = [f"{number}".rjust(20, "n") for number in range(NAMES)]
    return leaf_with(authority, name, dns_names(name, *others), stuffing(CHAIN_BYTES - 22 * NAMES))


def with_no_names(authority: Authority, name: str) -> IssuedCertificate:
    """Thousands of them."""
    return leaf_with(authority, name, raw_names(der(DNS_NAME, name.encode()), NO_NAMES))


def with_weak_authorities(_: Authority, name: str) -> IssuedCertificate:
    """Each is signed by the next one, and all have expired."""
    key, weak = new_key(KeyType.EC), rsa.generate_private_key(65537, WEAK_RSA_BITS)
    issuers = [Issuer(common_name(f"Authority {number}"), weak) for number in range(AUTHORITIES + 1)]
    above = (other.sign(authority_draft(signed, path_length=None, ends=-DAY)) for signed, other in pairwise(issuers))
    return IssuedCertificate(key, (issuers[0].sign(for_name(name, key)), *above))


# ---------------------------------------------------------------- the table


def mixed(name: str, number: int) -> Place:
    """The web servers are alike, as any of them may be asked first."""
    too_large = number >= ADDRESSES and number % 4 == 0
    return all_the_same(with_no_names)(name, number) if too_large else each_its_own(with_everything)(name, number)


def unfinished(_: str, number: int) -> Place:
    return Fault.CONNECTION_REFUSED if number < ADDRESSES else RawPort(begin_a_handshake)


async def begin_a_handshake(accepted: socket) -> None:
    """OpenSSL has read the certificates by then."""
    await answers(server_hello() + certificate(nobodys()))(accepted)


@cache
def nobodys() -> bytes:
    nobody = Issuer(common_name("Nobody"), rsa.generate_private_key(65537, WEAK_RSA_BITS))
    leaf = a_leaf("nobody.test", nobody.key).add_extension(raw_names(NO_NAMES), critical=False)
    return nobody.sign(leaf).public_bytes(Encoding.DER)


OVERSIZED_SERVERS = numbered(
    "2001:db8:0:",
    (
        OversizedServer("bytes", "certificates with much that nobody knows", each_its_own(with_bytes), HEALTHY),
        OversizedServer("same", "the same one everywhere", all_the_same(with_bytes), HEALTHY),
        OversizedServer(
            "names", "certificates for the longest names there are", each_its_own(with_long_names), HEALTHY
        ),
        OversizedServer("weak", "long chains with much to complain of", each_its_own(with_weak_authorities), BAD_CHAIN),
        OversizedServer(
            "all", "as much of everything as there may be", each_its_own(with_everything), HEALTHY, SLOW_SECONDS
        ),
        OversizedServer(
            "values", "thousands of names that are none", all_the_same(with_no_names), TOO_LARGE_EVERYWHERE
        ),
        OversizedServer(
            "mixed", "thousands of names that are none, or as much as there may be", mixed, TOO_LARGE, SLOW_SECONDS
        ),
        OversizedServer("unfinished", "thousands of names that are none, and then nothing", unfinished, TOO_LARGE),
    ),
)
