"""Servers whose TLS never comes to an end, or costs as much as it can."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from functools import cache
from math import gcd
from pathlib import Path
from secrets import randbits
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL, crypto

from exporter.demo.authority import (
    Authority,
    IssuedCertificate,
    Issuer,
    PrivateKey,
    authority_draft,
    common_name,
    new_p256_key,
)
from exporter.demo.listener import Listener, Port, streams
from exporter.demo.servers import FEDERATION_PORT, LabServer, PortFactory, federates
from exporter.model.addresses import host_port
from exporter.model.enums import Method
from tests.lab.hostile.bad_certificates import leaf_for, with_names
from tests.siege.tls_messages import SERVER, Flood, KeyLog, Sealer, send_flood

_BURSTS = 1000  # more than a probe has time for
CHAIN_LENGTH, RSA_BITS = 12, 3072
ENDPOINTS = 32
_OTHER_NAMES = 45_000  # in the certificate of a second handshake
_STALLED_SECONDS = 10  # after which the thread of a connection ends


# ---------------------------------------------------------------- after the handshake


def flooding(name: str, flood: Flood) -> PortFactory:
    """A port with good TLS 1.3 that sends nothing but messages of TLS itself."""

    def make(authority: Authority) -> Port:
        issued = authority.issue([name])

        async def serve(accepted: socket.socket) -> None:
            context = issued.server_context()
            context.num_tickets = 0  # so that the first record of the flood is the first one of all
            with TemporaryDirectory(prefix="siege-") as folder:
                key_log = KeyLog(context, Path(folder))
                async with streams(accepted, context) as (_, writer):
                    cipher, *_ = writer.get_extra_info("cipher")
                    await send_flood(writer, key_log.sealer(cipher, SERVER), flood, _BURSTS)

        return Listener(serve)

    return make


def renegotiating(name: str) -> PortFactory:
    """A port with TLS 1.2 that answers a request with a second handshake, and a certificate of thousands of names."""

    def make(authority: Authority) -> Port:
        good = _context(authority.issue([name]))
        large = _context(with_names(["{}", *(f"n{number}.test" for number in range(_OTHER_NAMES))])(authority, name))

        async def serve(accepted: socket.socket) -> None:
            await asyncio.to_thread(_renegotiate, accepted.dup(), good, large)

        return Listener(serve)

    return make


def _context(issued: IssuedCertificate) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_privatekey(crypto.PKey.from_cryptography_key(issued.key))
    leaf, *issuers = issued.chain
    context.use_certificate(crypto.X509.from_cryptography(leaf))
    for issuer in issuers:
        context.add_extra_chain_cert(crypto.X509.from_cryptography(issuer))
    return context


def _renegotiate(accepted: socket.socket, good: SSL.Context, large: SSL.Context) -> None:
    with accepted:
        accepted.setblocking(True)  # noqa: FBT003 - as in `socket`
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _STALLED_SECONDS, 0))
        tls = SSL.Connection(good, accepted)
        tls.set_accept_state()
        try:
            tls.do_handshake()
            tls.recv(1)
            tls.set_context(large)
            tls.renegotiate()
            tls.do_handshake()
            tls.recv(1)
        except SSL.Error:
            return


# ---------------------------------------------------------------- chains


@cache
def key_with_large_exponent() -> PrivateKey:
    """An RSA key whose public exponent is as long as its modulus, so that a signature takes 20 ms to verify."""
    numbers = rsa.generate_private_key(65537, RSA_BITS).private_numbers()
    phi = (numbers.p - 1) * (numbers.q - 1)
    exponent = next(each for each in _odd_numbers(RSA_BITS - 1) if gcd(each, phi) == 1)
    d = pow(exponent, -1, phi)
    public = rsa.RSAPublicNumbers(exponent, numbers.public_numbers.n)
    p, q = numbers.p, numbers.q
    private = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), numbers.iqmp, public)
    return private.private_key(unsafe_skip_rsa_key_validation=True)


def _odd_numbers(bits: int) -> Iterator[int]:
    while True:
        yield randbits(bits) | 1


@cache
def _issuers(authority: Authority) -> tuple[tuple[Issuer, ...], IssuedCertificate]:
    """Return all issuers from the root down, and their certificates in the order of a chain."""
    key = key_with_large_exponent()
    issuers = [Issuer(common_name(f"Expensive {number}"), key) for number in range(CHAIN_LENGTH - 1)]
    above = (issuers[0], *issuers)
    signed = [issuer.sign(authority_draft(each, None)) for issuer, each in zip(above, issuers, strict=False)]
    authority.trust(signed[0])
    return tuple(issuers), IssuedCertificate(key, tuple(reversed(signed)))


def expensive_chain(authority: Authority, name: str) -> IssuedCertificate:
    """A valid chain up to a trusted root, each signature of which takes as long to verify as a signature can."""
    issuers, above = _issuers(authority)
    key = new_p256_key()
    return IssuedCertificate(key, (issuers[-1].sign(leaf_for(name, key)), *above.chain))


def with_expensive_chain(number: int) -> LabServer:
    name = f"chain-{number}.siege.test"
    addresses = [f"100.{64 + number}.0.{last}" for last in range(1, ENDPOINTS + 1)]
    return LabServer(
        name,
        f"{CHAIN_LENGTH} certificates of RSA-{RSA_BITS} with the largest exponents at {ENDPOINTS} endpoints",
        Method.DEFAULT_8448,
        zone="\n".join(f"{name} A {address}" for address in addresses),
        ports={host_port(address, FEDERATION_PORT): federates(name, expensive_chain) for address in addresses},
    )


# ---------------------------------------------------------------- the tables

EXPENSIVE_SERVERS = tuple(with_expensive_chain(number) for number in range(1, 4))

_FLOODS: dict[str, Flood] = {"key-updates": Sealer.key_update, "tickets": Sealer.session_ticket}


def _at(name: str, address: str, shows: str, port: PortFactory) -> LabServer:
    ports = {host_port(address, FEDERATION_PORT): port}
    return LabServer(name, shows, Method.DEFAULT_8448, f"{name} A {address}", ports)


FLOODING_SERVERS = tuple(
    _at(name, f"100.80.0.{place}", f"endless {label} after the handshake", flooding(name, flood))
    for place, (label, flood, name) in enumerate(
        ((label, flood, f"{label}-{number}.siege.test") for label, flood in _FLOODS.items() for number in range(3)), 1
    )
)
RENEGOTIATING_SERVERS = tuple(
    _at(name, f"100.81.0.{number}", "another certificate in a second handshake", renegotiating(name))
    for number, name in ((number, f"renegotiates-{number}.siege.test") for number in range(1, 4))
)
