"""Writes the log, and loses lines rather than wait until somebody reads them: the exporter would stand still."""

import logging
import select
from io import UnsupportedOperation
from typing import TextIO

import structlog

_PIECE_CHARACTERS = 1024  # in UTF-8, at most PIPE_BUF: a pipe that poll(2) calls writable takes that at once (pipe(7))
LOST = "lines of the log were lost: nobody has read it in time"
_READER_MILLISECONDS = 100  # for the reader of a long line to keep up

log = structlog.get_logger()


class LogHandler(logging.Handler):
    """Writes each record as one line to a stream. As soon as lines are read again, one says how many were lost."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._poll = _poll(stream)
        self._lost = 0
        self._is_unfinished = False
        """Whether only a part of the latest line was written."""

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_writable(0):
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            log.warning(LOST, lines=lost)
        try:
            self._write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as every handler does: the log must not end what is logged
            self.handleError(record)

    def _write(self, line: str) -> None:
        if self._is_unfinished:
            line = f"\n{line}"
        for begin in range(0, len(line), _PIECE_CHARACTERS):
            self._is_unfinished = begin > 0 and not self._is_writable(_READER_MILLISECONDS)
            if self._is_unfinished:
                self._lost += 1
                break
            self._stream.write(line[begin : begin + _PIECE_CHARACTERS])
            self._stream.flush()

    def _is_writable(self, milliseconds: float) -> bool:
        return self._poll is None or bool(self._poll.poll(milliseconds))


def _poll(stream: TextIO) -> "select.poll | None":
    """Return a poll object that knows whether the stream accepts more; None if the stream is in memory."""
    try:
        descriptor = stream.fileno()
    except UnsupportedOperation:
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll
