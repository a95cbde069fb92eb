"""A log that nobody reads, over a real pipe."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from exporter.runtime import logs
from exporter.runtime.log_handler import LOST
from exporter.runtime.log_options import LogFormat, LogLevel

log = structlog.get_logger()
SMALLEST_PIPE = 4096  # bytes


@pytest.fixture
def readable(restored_logging: None) -> Iterator[int]:
    """Log to a pipe, and yield the other end of it."""
    readable, writable = os.pipe()
    fcntl.fcntl(writable, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    with open(writable, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
        yield readable
        logging.root.handlers.clear()
    os.close(readable)


def messages(readable: int) -> list[str]:
    """Read the log. Text that is not a whole line of it is returned as it is."""
    lines = os.read(readable, 2**20).decode().splitlines()
    return [json.loads(line)["msg"] if line.endswith("}") else line for line in lines]


def test_lines_that_nobody_reads_are_lost_and_counted(readable: int) -> None:
    """Nothing waits for a reader. What was written before is whole."""
    for number in range(1000):
        log.info("line", number=number)
    written = len(messages(readable))
    log.info("the end")
    lines = [json.loads(line) for line in os.read(readable, 2**20).decode().splitlines()]
    assert [line["msg"] for line in lines] == [LOST, "the end"]
    assert lines[0]["lines"] == 1000 - written > 0


def test_a_long_line_does_not_wait_for_a_reader(readable: int) -> None:
    """What was written of it is a line of its own."""
    log.info("x" * 10_000)
    (begun,) = messages(readable)
    assert begun.endswith("x")
    log.info("the end")
    assert messages(readable) == ["", LOST, "the end"]


def test_lines_of_any_length_are_whole_if_they_are_read(restored_logging: None, tmp_path: Path) -> None:
    """A file always takes them."""
    file = tmp_path / "log"
    with file.open("w") as stream:
        logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
        log.info("x" * 10_000)
        log.info("the end")
        logging.root.handlers.clear()
    assert [json.loads(line)["msg"] for line in file.read_text().splitlines()] == ["x" * 10_000, "the end"]
