"""Records of TLS, and how many of them may carry nothing for the application."""

import pytest

from exporter.runtime.tls_records import IdleRecordsError, TlsRecords

MAX_IDLE, MAX_IDLE_BYTES = 16, 16 * 1024
KEY_UPDATE = b"\x17\x03\x03\x00\x16" + bytes(22)
LARGE = b"\x17\x03\x03\x40\x11" + bytes(16401)


def records_of(content: bytes = b"", *, after_handshake: bool = True) -> TlsRecords:
    records = TlsRecords(MAX_IDLE, MAX_IDLE_BYTES)
    if after_handshake:
        records.end_handshake()
    records.add(content)
    return records


@pytest.mark.parametrize("size", [1, 4, 5, 6, 27, 28, 1000])
def test_records_are_taken_one_at_a_time(size: int) -> None:
    """In whatever pieces they were received. Where a record is not complete, its beginning is taken."""
    stream = KEY_UPDATE + LARGE + KEY_UPDATE
    records, taken, ends = records_of(), b"", set()
    for start in range(0, len(stream), size):
        records.add(stream[start : start + size])
        while part := records.take():
            records.carried_data()
            taken += part
            ends.add(len(taken))
    assert taken == stream
    assert {len(KEY_UPDATE), len(KEY_UPDATE + LARGE), len(stream)} <= ends


def test_a_flight_of_the_handshake_is_taken_at_once() -> None:
    """OpenSSL works through all of it in one call, so there is a limit. The records after it are counted as ever."""
    records = records_of(KEY_UPDATE * 9 + KEY_UPDATE[:7], after_handshake=False)
    assert records.take() == KEY_UPDATE * 8
    records.end_handshake()
    assert records.take() == KEY_UPDATE
    assert records.take() == KEY_UPDATE[:7]
    assert repr(records) == "<TlsRecords: 0 bytes, 2 idle records>"


def test_idle_records_are_limited() -> None:
    records = records_of(KEY_UPDATE * (MAX_IDLE + 1))
    for _ in range(MAX_IDLE):
        assert records.take() == KEY_UPDATE
    with pytest.raises(IdleRecordsError):
        records.take()


def test_idle_bytes_are_limited() -> None:
    """One record may have many messages."""
    records = records_of(LARGE * 2)
    assert records.take() == LARGE
    with pytest.raises(IdleRecordsError):
        records.take()


def test_records_with_data_are_not_limited() -> None:
    """They may be read in several pieces. Idle ones in between are counted all the same."""
    records = records_of((LARGE + KEY_UPDATE) * (MAX_IDLE + 1))
    for _ in range(MAX_IDLE):
        assert records.take() == LARGE
        records.carried_data()
        records.carried_data()
        assert records.take() == KEY_UPDATE
    with pytest.raises(IdleRecordsError):
        records.take()


def test_records_of_the_handshake_are_not_counted() -> None:
    records = records_of(KEY_UPDATE * 1000, after_handshake=False)
    assert b"".join(iter(records.take, b"")) == KEY_UPDATE * 1000
    assert repr(records) == "<TlsRecords: 0 bytes, 0 idle records>"
