"""The messages between the exporter and its workers: pickles over a socket pair.

Both ends are processes of the exporter and trust each other, so unpickling is safe. A message follows its length, which
is an unsigned integer of four bytes in network byte order.
"""

import pickle
import struct
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from typing import TypeAlias

from exporter.config import Config
from exporter.model.names import ServerName
from exporter.model.report import Report

_LENGTH = struct.Struct("!I")


# ---------------------------------------------------------------- to a worker


@dataclass(frozen=True, slots=True)
class UseConfig:
    """Use this configuration for all requests that follow."""

    generation: int
    """Higher for each newer configuration."""
    config: Config
    workers: int
    """How many there are, and share what the exporter may send to one address."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """Probe a server as those of a group. `max_seconds` is None for the configured timeout."""

    group: str
    server_name: ServerName
    max_seconds: float | None


@dataclass(frozen=True, slots=True)
class DeepLookTask:
    """Take a deep look at the server of a report, as at those of a group."""

    group: str
    report: Report


WorkerTask: TypeAlias = ProbeTask | DeepLookTask


@dataclass(frozen=True, slots=True)
class Request:
    """Run a task, and send a reply with the same ID."""

    request_id: int
    task: WorkerTask


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the task of a request. Nothing waits for its reply any more."""

    request_id: int


MessageToWorker: TypeAlias = UseConfig | Request | Cancel


# ---------------------------------------------------------------- from a worker


@dataclass(frozen=True, slots=True)
class Ready:
    """The first message of a worker."""


@dataclass(frozen=True, slots=True)
class LagSamples:
    """Lags of the worker's event loop, in seconds."""

    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request."""

    request_id: int
    report: Report | None
    """None if the task raised an exception, which the worker has logged, or if its group is not there any more."""


MessageFromWorker: TypeAlias = Ready | LagSamples | Reply


# ---------------------------------------------------------------- both


def send(writer: StreamWriter, message: MessageToWorker | MessageFromWorker) -> None:
    content = pickle.dumps(message)
    writer.write(_LENGTH.pack(len(content)) + content)


async def receive(reader: StreamReader) -> object:
    """Return the next message. Raises EOFError or OSError when the other process has ended."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from another process of the exporter
