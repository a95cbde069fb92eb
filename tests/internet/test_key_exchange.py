"""Finite-field key exchange: the size of the group that a server chooses is bounded."""

import socket
import ssl

import pytest

from exporter.demo.authority import Authority
from exporter.demo.listener import streams
from exporter.internet.costs import group_bits
from exporter.internet.tls import MAX_GROUP_BITS
from exporter.probing.network import TooLargeError
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, handshake_only, listening, tcp_connection
from tests.lab.hostile.bad_certificates import with_rsa
from tests.lab.hostile.tls import choose_group

SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE = 2, 11, 12
HANDSHAKE, ALERT = 22, 21


def message(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3) + content


def records(content: bytes, size: int = 1 << 14, kind: int = HANDSHAKE) -> bytes:
    """Return the content in records of at most `size` bytes."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(bytes([kind, 3, 3]) + len(piece).to_bytes(2) + piece for piece in pieces)


BEFORE = message(SERVER_HELLO, bytes(70)) + message(CERTIFICATE, bytes(20))
PRIME = message(SERVER_KEY_EXCHANGE, (256).to_bytes(2) + bytes(256))


@pytest.mark.parametrize(
    ("received", "bits"),
    [
        (b"", 0),
        (records(BEFORE), 0),
        (records(BEFORE + PRIME), 2048),
        (records(BEFORE + PRIME, size=7), 2048),
        (records(BEFORE) + records(PRIME)[:11], 2048),
        (records(BEFORE) + records(PRIME)[:10], 0),
        (records(PRIME, kind=ALERT), 0),
        (records(PRIME, kind=ALERT) + records(PRIME), 2048),
    ],
)
def test_reads_the_size_of_the_prime(received: bytes, bits: int) -> None:
    """Messages begin and end anywhere in records, and what has not come yet is waited for."""
    assert group_bits(received) == bits


@pytest.mark.parametrize("bits", [2048, MAX_GROUP_BITS, MAX_GROUP_BITS + 8])
async def test_the_size_of_the_group_is_bounded(authority: Authority, bits: int) -> None:
    """OpenSSL would work with one of 10,000 bits for half a second, and stall all other probes."""
    context = with_rsa(authority, NAME).server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    choose_group(context, bits)
    async with listening(handshake_only(context)) as address, tcp_connection(address, authority) as connection:
        if bits > MAX_GROUP_BITS:
            with pytest.raises(TooLargeError, match=f"{bits} bits, the limit is {MAX_GROUP_BITS}"):
                await connection.start_finite_field_tls(NAME, check_nothing)
        else:
            handshake = await connection.start_finite_field_tls(NAME, check_nothing)
            assert handshake.cipher is not None
            assert handshake.cipher.startswith("DHE-RSA-")
            assert handshake.verify_errors == ()


async def test_a_connection_is_replaced_by_one_of_the_same_kind(authority: Authority) -> None:
    """The server closes it after each response, and speaks nothing else."""
    context = with_rsa(authority, NAME).server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    choose_group(context, 2048)

    async def serve(accepted: socket.socket) -> None:
        async with streams(accepted, context) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    async with listening(serve) as address, tcp_connection(address, authority) as connection:
        await connection.start_finite_field_tls(NAME, check_nothing)
        assert [(await connection.get("/", NAME, 100)).status for _ in range(2)] == [204, 204]
