"""What a port says that speaks no TLS, or no good TLS: bytes, and how the connection ends."""

import asyncio
from collections.abc import Awaitable, Callable
from socket import SHUT_WR, socket
from typing import TypeAlias

from exporter.demo.listener import ConnectionHandler
from exporter.demo.ports import FIRST_BYTES

DRIP_SECONDS = 0.05
SO_MANY_BYTES = 1 << 14

Ending: TypeAlias = Callable[[socket], Awaitable[None]]


async def close(_: socket) -> None:
    """In peace."""


async def stay(_: socket) -> None:
    """Until the client leaves, or the lab is stopped: nothing more is said."""
    await asyncio.Event().wait()


def says(content: bytes, ending: Ending = stay) -> ConnectionHandler:
    """At once, before the client has said anything."""

    async def behave(accepted: socket) -> None:
        await asyncio.get_running_loop().sock_sendall(accepted, content)
        await ending(accepted)

    return behave


def answers(content: bytes, ending: Ending = stay) -> ConnectionHandler:
    """Whatever the client says first."""

    async def behave(accepted: socket) -> None:
        await asyncio.get_running_loop().sock_recv(accepted, FIRST_BYTES)
        await says(content, ending)(accepted)

    return behave


async def shuts_down(accepted: socket) -> None:
    """Says at once that nothing will come, and listens on."""
    accepted.shutdown(SHUT_WR)
    await stay(accepted)


def floods(content: bytes, again: bytes) -> ConnectionHandler:
    """`content`, and then `again` for ever."""
    many = again * (SO_MANY_BYTES // len(again))

    async def flood(accepted: socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(accepted, many)

    return answers(content, flood)


def drips(content: bytes) -> ConnectionHandler:
    """Byte by byte: no pause is long, and there is no end."""

    async def drip(accepted: socket) -> None:
        for byte in content:
            await asyncio.get_running_loop().sock_sendall(accepted, bytes([byte]))
            await asyncio.sleep(DRIP_SECONDS)

    return answers(b"", drip)
