"""Connections are accepted within limits, in both event loops."""

import asyncio
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from exporter.config import HostPort
from exporter.demo.authority import Authority
from exporter.web import acceptor, listeners
from exporter.web.acceptor import Acceptor
from exporter.web.listeners import ListeningSocket, bind, bound_address
from tests.waiting import leaked_tasks, until


class Greeting(asyncio.Protocol):
    """Greets every client, and closes the connection."""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        asyncio.get_running_loop().call_soon(transport.close)


@pytest.fixture
def listener() -> Iterator[ListeningSocket]:
    (found,) = bind([HostPort("127.0.0.1", 0)])
    with found:
        yield found


async def greeting(listener: ListeningSocket, context: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(
        *bound_address(listener), ssl=context, server_hostname="localhost" if context else None
    )
    try:
        return await reader.read()
    finally:
        writer.transport.abort()


async def test_clients_are_served_until_it_is_closed(listener: ListeningSocket) -> None:
    """Then the kernel still queues them, until the socket is closed too."""
    accepting = Acceptor(listener, Greeting, None)
    assert await greeting(listener) == b"hello"
    accepting.close()
    await accepting.wait_closed()
    with socket.create_connection(bound_address(listener)) as client:
        client.setblocking(False)  # noqa: FBT003 - as in `socket`
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            client.recv(1)


async def test_handshakes_that_are_not_finished_end_with_it(listener: ListeningSocket, tmp_path: Path) -> None:
    """Each of them has a task, and none is left."""
    authority, before = Authority(tmp_path), leaked_tasks()
    accepting = Acceptor(listener, Greeting, authority.issue(["localhost"]).server_context())
    with socket.create_connection(bound_address(listener)):
        await until(lambda: listener.pending)
        assert await greeting(listener, ssl.create_default_context(cafile=authority.ca_file)) == b"hello"
        accepting.close()
        await accepting.wait_closed()
    assert leaked_tasks() == before


async def test_too_many_handshakes_are_limited(
    listener: ListeningSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever event loop it is: uvloop would accept them past the limit of the socket."""
    monkeypatch.setattr(listeners, "MAX_PENDING", 3)
    accepting = Acceptor(listener, Greeting, Authority(tmp_path).issue(["localhost"]).server_context())
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(bound_address(listener))) for _ in range(8)]
        for client in clients[:5]:
            client.setblocking(False)  # noqa: FBT003 - as in `socket`
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert len(listener.pending) == 3
    accepting.close()
    await accepting.wait_closed()


async def test_a_shortage_of_descriptors_is_reported_once(
    listener: ListeningSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients wait meanwhile, and are served afterwards."""
    reported: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    monkeypatch.setattr(acceptor, "_SHORTAGE_SECONDS", 0.1)
    accepting = Acceptor(listener, Greeting, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        client.setblocking(False)  # noqa: FBT003 - as in `socket`
        client.connect_ex(bound_address(listener))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            await until(lambda: reported)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await loop.sock_recv(client, 5) == b"hello"
    assert set(reported) == {"socket.accept() out of system resource"}
    accepting.close()
    await accepting.wait_closed()
