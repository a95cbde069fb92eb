"""The TLS of one connection of a client, which cannot make OpenSSL work without sending requests."""

import ssl
from collections.abc import Callable
from typing import Any, Self, TypeVar

from exporter.runtime.tls_records import IdleRecordsError, TlsRecords

_Result = TypeVar("_Result")

_MAX_IDLE_RECORDS, _MAX_IDLE_BYTES = 16, 16 * 1024  # clients send nothing but requests


class FrugalObject(ssl.SSLObject):
    """Gives OpenSSL what was received one record at a time, and ends the connection if too many carry no data."""

    _incoming: ssl.MemoryBIO
    """What was received."""
    _given: ssl.MemoryBIO
    """What OpenSSL was given of it."""
    _records: TlsRecords

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **options: Any) -> Self:
        """Called by `ssl` and its subclasses instead of a constructor."""
        given = ssl.MemoryBIO()
        created: Self = super()._create(given, outgoing, **options)  # type: ignore[misc] # not in typeshed
        created._incoming, created._given = incoming, given
        created._records = TlsRecords(_MAX_IDLE_RECORDS, _MAX_IDLE_BYTES)
        return created

    def do_handshake(self) -> None:
        """OpenSSL bounds a handshake itself."""
        self._with_records(super().do_handshake)
        self._records.end_handshake()

    def read(self, *arguments: Any) -> Any:
        content = self._with_records(super().read, *arguments)
        self._records.carried_data()
        return content

    def pending(self) -> int:
        """Return more than 0 while there may be something to read: uvloop asks for this before each `read`."""
        return super().pending() + self._given.pending + self._records.pending

    def unwrap(self) -> Any:
        return self._with_records(super().unwrap)

    def _with_records(self, step: Callable[..., _Result], *arguments: Any) -> _Result:
        self._records.add(self._incoming.read())
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                if not (part := self._next_part()):
                    raise
                self._given.write(part)

    def _next_part(self) -> bytes:
        try:
            return self._records.take()
        except IdleRecordsError as error:
            raise ssl.SSLError("the client sends messages of TLS without requests") from error
