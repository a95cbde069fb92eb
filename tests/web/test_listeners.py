"""The sockets to listen on."""

import asyncio
import resource
import socket
import struct
from contextlib import ExitStack

import pytest

from exporter.config import HostPort
from exporter.web import listeners
from exporter.web.listeners import CHOOSE_ADDRESS, ListenError, bind, bound_address


def complaint(*places: HostPort) -> str:
    with pytest.raises(ListenError) as raised:
        bind(places)
    return str(raised.value)


def test_port_0_is_any_free_one() -> None:
    """And the real one is told, for both families."""
    sockets = bind([HostPort("127.0.0.1", 0), HostPort("::1", 0), HostPort("localhost", 0)])
    places = [bound_address(sock) for sock in sockets]
    assert [place.host for place in places] == ["127.0.0.1", "::1", "127.0.0.1"]
    for sock, place in zip(sockets, places, strict=True):
        with sock, socket.create_connection(place):
            pass


def test_all_addresses_of_both_families_can_be_listed() -> None:
    """The one for IPv6 does not take IPv4 as well."""
    (first,) = bind([HostPort("0.0.0.0", 0)])
    with first:
        (second,) = bind([HostPort("::", bound_address(first).port)])
        with second:
            assert bound_address(second) == HostPort("::", bound_address(first).port)


@pytest.mark.timeout(10)
async def test_a_shortage_is_told_once_and_then_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop would try, and log a traceback, as often as the backlog is long."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    monkeypatch.setattr(listeners, "SHORTAGE_SECONDS", 0.05)
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.1)
    met = asyncio.Event()

    def meet(_: object, writer: asyncio.StreamWriter) -> None:
        writer.close()
        met.set()

    (door,) = bind([HostPort("127.0.0.1", 0)])
    async with await asyncio.start_server(meet, sock=door):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            client.settimeout(0)
            client.connect_ex(bound_address(door))
            resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
            try:
                await asyncio.sleep(0.05)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await met.wait()
    assert told == ["socket.accept() out of system resource"]


def test_name_of_both_families_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in other exporters: `localhost` is 127.0.0.1, whatever stands first."""
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (sock,) = bind([HostPort("localhost", 0)])
    with sock:
        assert bound_address(sock).host == "127.0.0.1"


def test_address_active() -> None:
    """Which one, why, and what to do; those before it are given back."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        free, place = bound_address(other), bound_address(taken)
        other.close()
        reason = "another program listens there already: stop it, or choose another address"
        assert complaint(free, place) == f"cannot listen on {place}: {reason} ({CHOOSE_ADDRESS})"
        bind([free])[0].close()


def test_address_of_another_machine() -> None:
    """192.0.2.0/24 belongs to no machine (RFC 5737)."""
    assert complaint(HostPort("192.0.2.1", 0)).startswith("cannot listen on 192.0.2.1:0: this machine does not have")


def test_name_that_is_none() -> None:
    """Longer than a label may be, so that nobody is asked."""
    host = "x" * 64
    assert complaint(HostPort(host, 0)) == f"cannot listen on {host}:0: the name is not known ({CHOOSE_ADDRESS})"


# ---------------------------------------------------------------- who waits at a door


def test_who_has_waited_longest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once too many wait; whoever was let in is none of them."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 2)
    (door,) = bind([HostPort("127.0.0.1", 0)])
    with door, ExitStack() as stack:
        clients = []
        for number in range(4):
            clients.append(stack.enter_context(socket.create_connection(bound_address(door))))
            accepted = stack.enter_context(door.accept()[0])
            if number == 0:
                del door.pending[accepted.fileno()]
        clients[1].settimeout(1)
        assert clients[1].recv(1) == b""
        for client in (clients[0], *clients[2:]):
            client.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
            with pytest.raises(BlockingIOError):
                client.recv(1)


def test_one_that_has_left_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MAX_PENDING", 1)
    (door,) = bind([HostPort("127.0.0.1", 0)])
    with door, socket.create_connection(bound_address(door)) as leaving, door.accept()[0]:
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()  # with a reset
        with socket.create_connection(bound_address(door)), door.accept()[0] as accepted:
            assert list(door.pending) == [accepted.fileno()]
