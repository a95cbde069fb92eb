"""What a port sends that speaks no TLS, or bad TLS: bytes, and how the connection ends."""

import asyncio
from collections.abc import Awaitable, Callable
from socket import SHUT_WR, socket
from typing import TypeAlias

from exporter.demo.listener import ConnectionHandler
from exporter.demo.ports import FIRST_BYTES
from tests.lab.ports import stall

_DRIP_SECONDS = 0.05
_FLOOD_BYTES = 1 << 14

Ending: TypeAlias = Callable[[socket], Awaitable[None]]


async def close(_: socket) -> None:
    """Close the connection in good order."""


async def shut_down(accepted: socket) -> None:
    """Signal at once that nothing will be sent, and keep the connection open."""
    accepted.shutdown(SHUT_WR)
    await stall(accepted)


def send(content: bytes, ending: Ending = stall) -> ConnectionHandler:
    """Send at once, before the client has sent anything."""

    async def handle(accepted: socket) -> None:
        await asyncio.get_running_loop().sock_sendall(accepted, content)
        await ending(accepted)

    return handle


def answer(content: bytes, ending: Ending = stall) -> ConnectionHandler:
    """Send after the client has sent its first bytes."""

    async def handle(accepted: socket) -> None:
        await asyncio.get_running_loop().sock_recv(accepted, FIRST_BYTES)
        await send(content, ending)(accepted)

    return handle


def flood(content: bytes, repeated: bytes) -> ConnectionHandler:
    """Send `content`, and then `repeated` without end."""
    block = repeated * (_FLOOD_BYTES // len(repeated))

    async def send_on(accepted: socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(accepted, block)

    return answer(content, send_on)


def drip(content: bytes) -> ConnectionHandler:
    """Send byte by byte: no pause is long, and it takes very long in all."""

    async def send_slowly(accepted: socket) -> None:
        for byte in content:
            await asyncio.get_running_loop().sock_sendall(accepted, bytes([byte]))
            await asyncio.sleep(_DRIP_SECONDS)

    return answer(b"", send_slowly)
