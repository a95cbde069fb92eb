"""What a server can send after the handshake, with the interactive commands of `openssl s_server`."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from OpenSSL import SSL

from exporter.demo.authority import Authority, IssuedCertificate
from exporter.probing.network import ClosedEarlyError, TooLargeError
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, tcp_connection
from tests.programs import program
from tests.waiting import PAUSE

pytestmark = [pytest.mark.subprocess, pytest.mark.system("openssl")]

Repeat: TypeAlias = Callable[[bytes], Coroutine[None, None, None]]
"""Gives the server one command (openssl-s_server(1ssl), "CONNECTED COMMANDS") again and again, until it ends."""


@asynccontextmanager
async def openssl_server(folder: Path, issued: IssuedCertificate, version: str) -> AsyncIterator[tuple[str, Repeat]]:
    """Yield its address."""
    pem = folder / "server.pem"
    pem.write_bytes(issued.pem)
    options = ("-accept", "127.0.0.1:0", "-cert", str(pem), "-cert_chain", str(pem), "-naccept", "1", version)
    server = await create_subprocess_exec(
        program("openssl"), "s_server", *options, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert server.stdin
    assert server.stdout
    commands = server.stdin

    async def repeat(command: bytes) -> None:
        with suppress(ConnectionError):
            while server.returncode is None:
                commands.write(command + b"\n")
                await commands.drain()
                await asyncio.sleep(PAUSE)  # each read of the program is one command

    while not (line := await server.stdout.readline()).startswith(b"ACCEPT "):
        assert line
    try:
        yield line.decode().split()[1], repeat
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        await server.communicate()


async def test_keys_are_updated_a_few_times_at_most(
    authority: Authority, issued: IssuedCertificate, tmp_path: Path
) -> None:
    with pytest.raises(TooLargeError, match="too many messages of TLS itself"):
        await get_from(authority, openssl_server(tmp_path, issued, "-tls1_3"), b"k")


async def test_there_is_no_second_handshake(authority: Authority, issued: IssuedCertificate, tmp_path: Path) -> None:
    """TLS 1.2 has a renegotiation, in which a server could present another certificate, of any size."""
    with pytest.raises((SSL.Error, ClosedEarlyError, ConnectionError)):
        await get_from(authority, openssl_server(tmp_path, issued, "-tls1_2"), b"r")


async def get_from(
    authority: Authority, server: AbstractAsyncContextManager[tuple[str, Repeat]], command: bytes
) -> None:
    """Request something from a server that follows a command instead of responding."""
    async with server as (address, repeat), tcp_connection(address, authority) as connection:
        await connection.start_tls(NAME, check_nothing)
        flood = asyncio.create_task(repeat(command))
        try:
            await connection.get("/", NAME, 100)
        finally:
            flood.cancel()
