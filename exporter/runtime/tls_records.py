"""The records of a TLS connection (RFC 8446, section 5.1), to bound those that carry nothing for the application.

Messages of TLS itself, such as KeyUpdate and NewSessionTicket, may come at any time after the handshake. Each of them
has some 30 bytes and takes up to 50 µs of CPU, and OpenSSL works through all that it is given in one call.
"""

from itertools import islice

_HEADER_BYTES, _LENGTH_AT = 5, 3
_FLIGHT_RECORDS = 8  # a server sends six to complete a handshake


class IdleRecordsError(Exception):
    """The peer sends more messages of TLS itself than it may."""


class TlsRecords:
    """What was received, and is given to OpenSSL one record at a time, or a few while the handshake lasts.

    After the handshake, `max_idle` records may carry no data of the application, of `max_idle_bytes` bytes in all, and
    those that are taken together with the last one of the handshake.
    """

    def __init__(self, max_idle: int, max_idle_bytes: int) -> None:
        self._max_idle, self._max_idle_bytes = max_idle, max_idle_bytes
        self._received = bytearray()
        self._left = 0
        """The bytes of the current record that have not been taken."""
        self._current = 0
        """Its bytes that have been taken, if it counts as idle."""
        self._idle_records = self._idle_bytes = 0
        self._handshake_ended = False

    def __repr__(self) -> str:
        return f"<TlsRecords: {len(self._received)} bytes, {self._idle_records} idle records>"

    @property
    def pending(self) -> int:
        """The number of bytes that have not been taken."""
        return len(self._received)

    def add(self, content: bytes) -> None:
        self._received += content

    def take(self) -> bytes:
        """Return the next record, or as much of it as was received; nothing if there is no more.

        In the handshake, a few are returned together: OpenSSL stops after each flight. Afterwards, a record counts as
        idle until `carried_data` is called. Raises IdleRecordsError.
        """
        if self._handshake_ended:
            return self._take_one()
        return b"".join(islice(iter(self._take_one, b""), _FLIGHT_RECORDS))

    def _take_one(self) -> bytes:
        if not self._left and not self._begin_record():
            return b""
        part = bytes(self._received[: self._left])
        del self._received[: self._left]
        self._left -= len(part)
        self._current += len(part) * self._handshake_ended
        self._idle_bytes += len(part) * self._handshake_ended
        return part

    def _begin_record(self) -> bool:
        """Return whether there is another one."""
        if len(self._received) < _HEADER_BYTES:
            return False
        self._idle_records += self._handshake_ended
        if self._idle_records > self._max_idle or self._idle_bytes > self._max_idle_bytes:
            raise IdleRecordsError
        self._left = _HEADER_BYTES + int.from_bytes(self._received[_LENGTH_AT:_HEADER_BYTES], "big")
        self._current = 0
        return True

    def end_handshake(self) -> None:
        """Count the records from now on."""
        self._handshake_ended = True

    def carried_data(self) -> None:
        """Say that the current record was one of the application."""
        if self._current:
            self._idle_records -= 1
            self._idle_bytes -= self._current
            self._current = 0
