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

only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel stamps what it receives")


class SlowPeer:
    """Answers each connection once, `seconds` after it heard something: in a thread, whatever our event loop does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.answered = threading.Event()
        self.answers_after = self.answered_before = 0.0
        """The answer is sent between these two."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        accepted, _ = self._listening.accept()
        with accepted:
            accepted.recv(100)
            time.sleep(self._seconds)
            self.answers_after = time.monotonic()
            accepted.sendall(b"answer")
            self.answered_before = time.monotonic()
            self.answered.set()
            accepted.recv(100)

    def stop(self) -> None:
        self._thread.join()
        self._listening.close()


@pytest.fixture
def slow() -> Iterator[SlowPeer]:
    peer = SlowPeer(0.05)
    yield peer
    peer.stop()


BUSY_SECONDS = 0.2
CLOCKS_SECONDS = 0.05  # by which two clocks that are read one after the other may differ, on a busy machine


def keep_busy(peer: SlowPeer) -> None:
    """As much computing elsewhere would, until long after the answer has come."""
    assert peer.answered.wait(PATIENCE)
    time.sleep(BUSY_SECONDS)


def assert_is_peers_time(waited: float, peer: SlowPeer, asked_after: float, asked_before: float) -> None:
    """From the moment of the question, which lies between the two, to that of the answer."""
    shortest, longest = peer.answers_after - asked_before, peer.answered_before - asked_after
    assert shortest - CLOCKS_SECONDS < waited < longest + CLOCKS_SECONDS


@only_on_linux
async def test_an_answer_counts_from_its_arrival_and_not_from_our_reading(slow: SlowPeer) -> None:
    """It came after 50 ms, and stayed in the socket until we had time for it after another 200."""
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        await stream.open(*ip_endpoint(slow.address))
        before, asked_after = clock.peer_wait(), time.monotonic()
        await stream.send(b"question")
        asked_before = time.monotonic()
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        keep_busy(slow)
        assert await receiving == b"answer"
    assert_is_peers_time(clock.peer_wait() - before, slow, asked_after, asked_before)


@only_on_linux
async def test_an_answer_counts_though_it_came_before_we_ran_again(
    slow: SlowPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending woke the remote, and we were put aside until long after its answer: it still needed 50 ms."""
    clock, loop = PeerClock(), asyncio.get_running_loop()
    send, asked_before = loop.sock_sendall, 0.0

    async def put_aside(sock: socket.socket, content: bytes) -> None:
        nonlocal asked_before
        asked_before = time.monotonic()
        await send(sock, content)
        keep_busy(slow)

    with closing(TcpStream(clock)) as stream:
        await stream.open(*ip_endpoint(slow.address))
        monkeypatch.setattr(loop, "sock_sendall", put_aside)
        before, asked_after = clock.peer_wait(), time.monotonic()
        await stream.send(b"question")
        assert await stream.receive() == b"answer"
    assert_is_peers_time(clock.peer_wait() - before, slow, asked_after, asked_before)


@only_on_linux
async def test_a_connection_takes_as_long_as_the_handshake_and_not_as_our_turn(slow: SlowPeer) -> None:
    """On loopback that is next to nothing."""
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        began = time.monotonic()
        opening = asyncio.create_task(stream.open(*ip_endpoint(slow.address)))
        await asyncio.sleep(0)
        time.sleep(BUSY_SECONDS)  # noqa: ASYNC251 - as computing elsewhere would
        await opening
        assert clock.peer_wait() < time.monotonic() - began - BUSY_SECONDS + CLOCKS_SECONDS
        await stream.send(b"question")


async def test_silence_counts_until_it_is_given_up(slow: SlowPeer) -> None:
    clock = PeerClock()
    with closing(TcpStream(clock)) as stream:
        await stream.open(*ip_endpoint(slow.address))
        before, began = clock.peer_wait(), time.monotonic()
        await stream.send(b"question")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await stream.receive()
    assert 0.015 < clock.peer_wait() - before <= time.monotonic() - began


# ---------------------------------------------------------------- the sums, by a clock that is set by hand


class Hands:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr("exporter.internet.peer_clock.time", hands)
    return hands


def test_what_comes_in_pieces_is_one_wait(hands: Hands) -> None:
    """Our own doings after the arrival of each are not in it."""
    clock = PeerClock()
    clock.sent()
    hands.now += 5
    clock.arrived(delay=2)
    assert clock.peer_wait() == 3
    hands.now += 10
    clock.arrived(delay=4)
    assert clock.peer_wait() == 3 + 8


def test_our_own_time_between_two_requests_counts_for_nobody(hands: Hands) -> None:
    clock = PeerClock()
    for _ in range(2):
        hands.now += 100
        clock.sent()
        hands.now += 1
        clock.arrived(delay=0)
    assert clock.peer_wait() == 2


def test_what_lay_there_before_we_asked_was_not_waited_for(hands: Hands) -> None:
    clock = PeerClock()
    clock.sent()
    hands.now += 1
    clock.arrived(delay=60)
    assert clock.peer_wait() == 0


def test_time_may_be_given_back(hands: Hands) -> None:
    clock = PeerClock()
    hands.now += 1
    clock.gave_up()
    assert clock.peer_wait() == 1
    clock.rewind_to(0.25)
    assert clock.peer_wait() == 0.25


@pytest.mark.parametrize(("trip", "peer_wait"), [(0.5, 0.5), (60.0, 2.0), (None, 2.0)])
def test_a_handshake_takes_no_longer_than_we_watched_it(hands: Hands, trip: float | None, peer_wait: float) -> None:
    clock = PeerClock()
    clock.sent()
    hands.now += 2
    clock.connected(trip)
    assert clock.peer_wait() == peer_wait


# ---------------------------------------------------------------- what the kernel says


def stamped(ago: float) -> bytes:
    nanoseconds = time.time_ns() - int(ago * 1e9)
    return TIMESPEC.pack(*divmod(nanoseconds, 10**9))


@pytest.mark.parametrize(("ago", "seconds"), [(5, 5), (0, 0), (-5, 0)])
def test_reads_the_stamps_of_the_kernel(ago: float, seconds: float) -> None:
    """A clock that was set back makes nobody wait a negative time."""
    assert queueing_delay([(socket.SOL_SOCKET, SO_TIMESTAMPNS, stamped(ago))]) == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(
    "ancillary",
    [
        [],
        [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@l", 1))],
        [(socket.IPPROTO_IP, SO_TIMESTAMPNS, TIMESPEC.pack(1, 0))],
    ],
    ids=["none", "too short", "another level"],
)
def test_what_is_no_stamp_tells_nothing(ancillary: Ancillary) -> None:
    assert queueing_delay(ancillary) == 0


def test_elsewhere_the_time_of_reading_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "other")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        peer_clock.enable_timestamps(sock)
        assert round_trip(sock) is None
