import asyncio
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from exporter.internet import peer_clock
from exporter.internet.peer_clock import SO_TIMESTAMPNS, TIMESPEC, Ancillary, PeerClock, queueing_delay, round_trip
from exporter.internet.tcp import TcpStream
from tests.addresses import ip_endpoint
from tests.waiting import PATIENCE

only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel timestamps received data")


class SlowPeer:
    """Responds to data after `seconds`, in a thread that the event loop cannot delay."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.responded = threading.Event()
        self.responded_after = self.responded_before = 0.0
        """The times between which the response was sent."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        accepted, _ = self._listening.accept()
        with accepted:
            accepted.recv(100)
            time.sleep(self._seconds)
            self.responded_after = time.monotonic()
            accepted.sendall(b"response")
            self.responded_before = time.monotonic()
            self.responded.set()
            accepted.recv(100)

    def stop(self) -> None:
        self._thread.join()
        self._listening.close()


@pytest.fixture
def slow_peer() -> Iterator[SlowPeer]:
    peer = SlowPeer(0.05)
    yield peer
    peer.stop()


BUSY_SECONDS = 0.2
CLOCKS_SECONDS = 0.05  # by which two readings of the clocks, one after the other, may differ on a busy machine


def block_event_loop(peer: SlowPeer) -> None:
    """Block, as a long computation would, until long after the response has arrived."""
    assert peer.responded.wait(PATIENCE)
    time.sleep(BUSY_SECONDS)


def assert_only_peer_time(waited: float, peer: SlowPeer, requested_after: float, requested_before: float) -> None:
    """Assert that the wait lasted from the request, which was sent between the two times, to the response."""
    shortest, longest = peer.responded_after - requested_before, peer.responded_before - requested_after
    assert shortest - CLOCKS_SECONDS < waited < longest + CLOCKS_SECONDS


@only_on_linux
async def test_a_wait_ends_when_data_arrives_and_not_when_it_is_read(slow_peer: SlowPeer) -> None:
    """The data arrives after 50 ms, and is in the receive queue until it is read 200 ms later."""
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        await stream.open(ip_endpoint(slow_peer.address))
        before, requested_after = clock.peer_wait(), time.monotonic()
        await stream.send(b"request")
        requested_before = time.monotonic()
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        block_event_loop(slow_peer)
        assert await receiving == b"response"
    assert_only_peer_time(clock.peer_wait() - before, slow_peer, requested_after, requested_before)


@only_on_linux
async def test_data_may_arrive_before_sending_returns(slow_peer: SlowPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter is suspended after sending until long after the peer answers: only the 50 ms of the peer count."""
    clock, loop = PeerClock(), asyncio.get_running_loop()
    send, requested_before = loop.sock_sendall, 0.0

    async def suspended(sock: socket.socket, content: bytes) -> None:
        nonlocal requested_before
        requested_before = time.monotonic()
        await send(sock, content)
        block_event_loop(slow_peer)

    with closing(TcpStream(clock)) as stream:
        await stream.open(ip_endpoint(slow_peer.address))
        monkeypatch.setattr(loop, "sock_sendall", suspended)
        before, requested_after = clock.peer_wait(), time.monotonic()
        await stream.send(b"request")
        assert await stream.receive() == b"response"
    assert_only_peer_time(clock.peer_wait() - before, slow_peer, requested_after, requested_before)


@only_on_linux
async def test_the_wait_for_a_connection_is_the_duration_of_the_tcp_handshake(slow_peer: SlowPeer) -> None:
    """On loopback it is nearly 0, however late the event loop notices it."""
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        started = time.monotonic()
        opening = asyncio.create_task(stream.open(ip_endpoint(slow_peer.address)))
        await asyncio.sleep(0)
        time.sleep(BUSY_SECONDS)  # noqa: ASYNC251 - as a long computation would
        await opening
        assert clock.peer_wait() < time.monotonic() - started - BUSY_SECONDS + CLOCKS_SECONDS
        await stream.send(b"request")


async def test_a_wait_without_data_counts_until_it_is_cancelled(slow_peer: SlowPeer) -> None:
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        await stream.open(ip_endpoint(slow_peer.address))
        before, started = clock.peer_wait(), time.monotonic()
        await stream.send(b"request")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await stream.receive()
    assert 0.015 < clock.peer_wait() - before <= time.monotonic() - started


# ---------------------------------------------------------------- the sum, with a fake clock


class FakeTime:
    """Replaces the module `time`; `now` is what its monotonic clock shows."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    clock_time = FakeTime()
    monkeypatch.setattr("exporter.internet.peer_clock.time", clock_time)
    return clock_time


def test_data_in_pieces_is_one_wait(clock_time: FakeTime) -> None:
    """The wait lasts until the last piece arrives. The delay until that piece is read does not count."""
    clock = PeerClock()
    clock.start_wait()
    clock_time.now += 5
    clock.data_received(delay=2)
    assert clock.peer_wait() == 3
    clock_time.now += 10
    clock.data_received(delay=4)
    assert clock.peer_wait() == 3 + 8


def test_the_time_between_two_requests_does_not_count(clock_time: FakeTime) -> None:
    clock = PeerClock()
    for _ in range(2):
        clock_time.now += 100
        clock.start_wait()
        clock_time.now += 1
        clock.data_received(delay=0)
    assert clock.peer_wait() == 2


def test_data_that_arrived_before_the_wait_counts_as_no_wait(clock_time: FakeTime) -> None:
    clock = PeerClock()
    clock.start_wait()
    clock_time.now += 1
    clock.data_received(delay=60)
    assert clock.peer_wait() == 0


def test_rewinding_restores_an_earlier_sum(clock_time: FakeTime) -> None:
    clock = PeerClock()
    clock_time.now += 1
    clock.wait_cancelled()
    assert clock.peer_wait() == 1
    clock.rewind_to(0.25)
    assert clock.peer_wait() == 0.25


@pytest.mark.parametrize(("handshake_seconds", "peer_wait"), [(0.5, 0.5), (60.0, 2.0), (None, 2.0)])
def test_a_tcp_handshake_counts_at_most_the_elapsed_time(
    clock_time: FakeTime, handshake_seconds: float | None, peer_wait: float
) -> None:
    clock = PeerClock()
    clock.start_wait()
    clock_time.now += 2
    clock.connection_made(handshake_seconds)
    assert clock.peer_wait() == peer_wait


# ---------------------------------------------------------------- the kernel's measurements


def timestamp(ago: float) -> bytes:
    nanoseconds = time.time_ns() - int(ago * 1e9)
    return TIMESPEC.pack(*divmod(nanoseconds, 10**9))


@pytest.mark.parametrize(("ago", "seconds"), [(5, 5), (0, 0), (-5, 0)])
def test_reads_the_kernel_timestamp(ago: float, seconds: float) -> None:
    """A timestamp in the future, after the clock was set back, is no delay."""
    assert queueing_delay([(socket.SOL_SOCKET, SO_TIMESTAMPNS, timestamp(ago))]) == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(
    "ancillary",
    [
        [],
        [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@l", 1))],
        [(socket.IPPROTO_IP, SO_TIMESTAMPNS, TIMESPEC.pack(1, 0))],
    ],
    ids=["none", "too short", "another level"],
)
def test_other_ancillary_data_is_no_delay(ancillary: Ancillary) -> None:
    assert queueing_delay(ancillary) == 0


def test_other_systems_have_no_kernel_timestamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        peer_clock.enable_timestamps(sock)
        assert round_trip(sock) is None


def test_repr_shows_the_sum(clock_time: FakeTime) -> None:
    clock = PeerClock()
    clock.start_wait()
    clock_time.now += 1.25
    clock.data_received(delay=0)
    assert repr(clock) == "<PeerClock: waited 1.250 s>"
