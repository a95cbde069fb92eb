"""Clients that say whatever they like, byte by byte."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from exporter.config import HostPort

PATIENCE = 20.0  # seconds; reached only by what will never come
REQUEST = b"GET %s HTTP/1.1\r\nHost: exporter\r\n\r\n"
LAST = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"


class Said(NamedTuple):
    """All that came until the exporter closed the connection."""

    text: str

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", self.text)]

    @property
    def headers(self) -> dict[str, str]:
        """Of the first answer; names in lower case."""
        head, _, _ = self.text.partition("\r\n\r\n")
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])}


@asynccontextmanager
async def client(place: HostPort) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Leaves without a word, after PATIENCE at the latest."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


async def says(place: HostPort, request: bytes) -> Said:
    """What is answered to `request`, and to LAST where the connection is still open."""
    async with client(place) as (reader, writer):
        writer.write(request + LAST)
        return await listen(reader)


async def listen(reader: asyncio.StreamReader) -> Said:
    heard = bytearray()
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            heard += piece
    return Said(heard.decode("utf-8", "replace"))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
