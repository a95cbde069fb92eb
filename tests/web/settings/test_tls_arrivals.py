"""Records of TLS that arrive together, in both event loops."""

import asyncio
import ssl
from pathlib import Path
from socket import AF_INET, socket

import pytest

from exporter.config import HostPort
from tests.waiting import PATIENCE
from tests.web.clients import REQUEST
from tests.web.settings.exporter_with_curl import TLS, running_exporter

pytestmark = pytest.mark.lab

_HEALTHY = REQUEST % b"/-/healthy"


@pytest.mark.usefixtures("authority")
async def test_requests_are_read_that_arrive_together(tmp_path: Path) -> None:
    """One with the end of the handshake, as hurried clients send it, and then two in records of their own."""
    async with running_exporter(tmp_path, TLS) as exporter, asyncio.timeout(PATIENCE):
        client = _TlsClient(ssl.create_default_context(cafile=tmp_path / "ca.pem"))
        with socket(AF_INET) as sock:
            sock.setblocking(False)  # noqa: FBT003 - as in `socket`
            received = await client.exchange(sock, exporter.app.addresses[0], ([_HEALTHY], [_HEALTHY, _HEALTHY]))
    assert [each.count(b"HTTP/1.1 200 OK") for each in received] == [1, 2]


class _TlsClient:
    """Sends only when it is told to, and then all at once."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def exchange(self, sock: socket, address: HostPort, batches: tuple[list[bytes], ...]) -> list[bytes]:
        """Shake hands, and return the responses to each batch of requests. The first one goes with the handshake."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, address)
        while not self._shakes_hands():
            await loop.sock_sendall(sock, self._outgoing.read())
            self._incoming.write(await loop.sock_recv(sock, 65536))
        received = []
        for requests in batches:
            for request in requests:
                self._tls.write(request)
            await loop.sock_sendall(sock, self._outgoing.read())
            responses = b""
            while responses.count(b"HTTP/1.1 ") < len(requests):
                self._incoming.write(await loop.sock_recv(sock, 65536))
                responses += self._read()
            received.append(responses)
        return received

    def _shakes_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _read(self) -> bytes:
        content = b""
        while True:
            try:
                content += self._tls.read()
            except ssl.SSLWantReadError:
                return content
