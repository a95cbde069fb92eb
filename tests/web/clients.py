"""Clients that send raw bytes."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from exporter.config import HostPort
from tests.waiting import PATIENCE

REQUEST = b"GET %s HTTP/1.1\r\nHost: exporter\r\n\r\n"
LAST_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"


class RawResponses(NamedTuple):
    """Everything that a client received until the connection was closed."""

    text: str

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", self.text)]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the first response, with names in lower case."""
        head, _, _ = self.text.partition("\r\n\r\n")
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])}


@asynccontextmanager
async def client(address: HostPort) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and close the connection abruptly at the end. Raises TimeoutError after PATIENCE."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def crowd(address: HostPort, request: bytes, size: int) -> AsyncIterator[None]:
    """Connect `size` clients, which send `request` and do not read."""
    async with AsyncExitStack() as stack:
        for _ in range(size):
            reader, writer = await stack.enter_async_context(client(address))
            reader._transport.pause_reading()  # type: ignore[attr-defined] # a stream reads ahead by itself
            writer.write(request)
        yield


async def exchange(address: HostPort, request: bytes) -> RawResponses:
    """Send `request`, and then LAST_REQUEST, which is only answered if the connection is still open."""
    async with client(address) as (reader, writer):
        writer.write(request + LAST_REQUEST)
        return await read_to_end(reader)


async def read_to_end(reader: asyncio.StreamReader) -> RawResponses:
    received = bytearray()
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            received += piece
    return RawResponses(received.decode("utf-8", "replace"))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
