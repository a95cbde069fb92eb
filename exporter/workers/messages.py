"""What the exporter and its workers say to each other: pickles over a socket pair, between a process and its own
children, each of whom trusts the other.
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


@dataclass(frozen=True, slots=True)
class UseConfig:
    """Probe as this configuration says, from the next question on."""

    generation: int
    """Higher than that of every configuration before."""
    config: Config


@dataclass(frozen=True, slots=True)
class ProbeTask:
    server_name: ServerName
    within: float | None


@dataclass(frozen=True, slots=True)
class DeepLookTask:
    report: Report


WorkerTask: TypeAlias = ProbeTask | DeepLookTask


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    question: WorkerTask


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for the answer any more."""

    number: int


WorkerMessage: TypeAlias = UseConfig | Request | Cancel


@dataclass(frozen=True, slots=True)
class Reply:
    number: int
    report: Report | None
    """None where the worker stumbled, which its log tells of."""


@dataclass(frozen=True, slots=True)
class LagSamples:
    """Of the worker's event loop, in seconds."""

    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's first word."""


def send(writer: StreamWriter, message: WorkerMessage | Ready | LagSamples | Reply) -> None:
    content = pickle.dumps(message)
    writer.write(_LENGTH.pack(len(content)) + content)


async def receive(reader: StreamReader) -> object:
    """Raises EOFError or OSError when the other side has ended."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from our own other half
