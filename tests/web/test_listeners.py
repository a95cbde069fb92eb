"""The listening sockets."""

import socket
import stat
import struct
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.config import ALL_ADDRESSES, HostPort, UnixPath
from exporter.web import listeners
from exporter.web.listeners import (
    CHOOSE_ADDRESS,
    Listen,
    ListenError,
    bind,
    bound_address,
    bound_addresses,
    describe,
)
from tests.waiting import PATIENCE


def error_of(*addresses: Listen) -> str:
    with pytest.raises(ListenError) as raised:
        bind(addresses)
    return str(raised.value)


def test_port_0_is_any_free_port() -> None:
    """The bound address has the real port, for IPv4 and IPv6."""
    sockets = bind([HostPort("127.0.0.1", 0), HostPort("::1", 0), HostPort("localhost", 0)])
    addresses = [bound_address(sock) for sock in sockets]
    assert [address.host for address in addresses] == ["127.0.0.1", "::1", "127.0.0.1"]
    for sock, address in zip(sockets, addresses, strict=True):
        with sock, socket.create_connection(address):
            pass


def test_all_addresses_of_both_families_can_be_bound() -> None:
    """The socket for IPv6 does not accept IPv4 too."""
    (first,) = bind([HostPort("0.0.0.0", 0)])
    with first:
        (second,) = bind([HostPort("::", bound_address(first).port)])
        with second:
            assert bound_address(second) == HostPort("::", bound_address(first).port)


def test_one_socket_can_serve_both_families() -> None:
    """As with `:10448` in other exporters."""
    (listener,) = bind([HostPort(ALL_ADDRESSES, 0)])
    with listener:
        port = bound_address(listener).port
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("::1", port)):
            accepted = [listener.accept() for _ in range(2)]
    for connection, _ in accepted:
        connection.close()
    assert [address[0] for _, address in accepted] == ["::ffff:127.0.0.1", "::1"]


def test_a_socket_in_the_file_system_is_there_until_it_is_closed(tmp_path: Path) -> None:
    """Whoever may enter the folder can connect."""
    path = tmp_path / "web.sock"
    (listener,) = bind([UnixPath(str(path))])
    with listener, connected(path):
        listener.accept()[0].close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert describe([listener]) == f"unix:{path}"
        assert bound_addresses([listener]) == ()
    assert not path.exists()


def test_the_socket_of_a_killed_exporter_is_replaced(tmp_path: Path) -> None:
    """That of another one that is running is not."""
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    (listener,) = bind([UnixPath(str(path))])
    with listener, connected(path):
        assert "another program is already listening there" in error_of(UnixPath(str(path)))
        assert path.exists()


def test_any_other_file_stays(tmp_path: Path) -> None:
    """It may have been written by mistake."""
    path = tmp_path / "web.sock"
    path.write_text("something else")
    assert error_of(UnixPath(str(path))).startswith(f"cannot listen on unix:{path}: another program")
    assert path.read_text() == "something else"


def test_an_open_socket_is_taken_over_if_it_listens() -> None:
    """As systemd passes it."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        address = bound_address(opened)
        with bind([opened])[0] as listener:
            assert bound_address(listener) == address
    with socket.socket() as deaf:
        assert error_of(deaf) == "cannot listen on the socket ('0.0.0.0', 0): it does not accept connections"


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def test_ipv4_is_preferred_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in other exporters, `localhost` is 127.0.0.1."""
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (sock,) = bind([HostPort("localhost", 0)])
    with sock:
        assert bound_address(sock).host == "127.0.0.1"


def test_an_address_in_use_is_an_error() -> None:
    """The message says which address, why and what to do. Sockets that were bound before are closed."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        free, address = bound_address(other), bound_address(taken)
        other.close()
        reason = "another program is already listening there: stop it, or choose another address"
        assert error_of(free, address) == f"cannot listen on {address}: {reason} ({CHOOSE_ADDRESS})"
        bind([free])[0].close()


def test_an_address_of_another_machine_is_an_error() -> None:
    """No machine has an address in 192.0.2.0/24 (RFC 5737)."""
    assert error_of(HostPort("192.0.2.1", 0)).startswith("cannot listen on 192.0.2.1:0: this machine does not have")


def test_an_unknown_name_is_an_error() -> None:
    """The name is too long for a DNS label, so that no DNS server is queried."""
    host = "x" * 64
    assert error_of(HostPort(host, 0)) == f"cannot listen on {host}:0: the name does not resolve ({CHOOSE_ADDRESS})"


# ---------------------------------------------------------------- pending connections


def test_the_oldest_pending_connection_is_closed_if_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Established connections do not count."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 2)
    (listener,) = bind([HostPort("127.0.0.1", 0)])
    with listener, ExitStack() as stack:
        clients = []
        for number in range(4):
            clients.append(stack.enter_context(socket.create_connection(bound_address(listener))))
            accepted = stack.enter_context(listener.accept()[0])
            if number == 0:
                del listener.pending[accepted.fileno()]
        clients[1].settimeout(PATIENCE)
        assert clients[1].recv(1) == b""
        for client in (clients[0], *clients[2:]):
            client.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
            with pytest.raises(BlockingIOError):
                client.recv(1)


def test_the_client_with_the_most_pending_connections_loses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others complete their handshakes, although they have been pending for longer."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 3)
    (listener,) = bind([HostPort("127.0.0.1", 0)])
    with listener, ExitStack() as stack:
        clients = []
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.2"):
            client = socket.create_connection(bound_address(listener), source_address=(host, 0))
            clients.append(stack.enter_context(client))
            stack.enter_context(listener.accept()[0])
        clients[1].settimeout(PATIENCE)
        assert clients[1].recv(1) == b""
        assert [each.network for each in listener.pending.values()] == ["127.0.0.1", "127.0.0.2", "127.0.0.2"]


def test_a_client_that_has_disconnected_is_not_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor may already belong to another connection."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 1)
    (listener,) = bind([HostPort("127.0.0.1", 0)])
    with listener, socket.create_connection(bound_address(listener)) as leaving, listener.accept()[0]:
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()  # with a reset
        with socket.create_connection(bound_address(listener)), listener.accept()[0] as accepted:
            assert list(listener.pending) == [accepted.fileno()]


def test_repr_shows_the_address_and_the_pending_connections() -> None:
    (listener,) = bind([HostPort("127.0.0.1", 0)])
    with listener, socket.create_connection(bound_address(listener)), listener.accept()[0]:
        assert repr(listener) == f"<ListeningSocket {bound_address(listener)}: 1 pending>"
    assert repr(listener) == "<ListeningSocket closed: 1 pending>"
