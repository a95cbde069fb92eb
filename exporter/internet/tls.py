"""TLS over a TCP stream, driven between two memory buffers of OpenSSL."""

from collections.abc import Sequence

from OpenSSL import SSL, crypto

from exporter.internet.der import count_values
from exporter.internet.tcp import READ_BYTES, TcpStream
from exporter.model import names
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.network import ClosedEarlyError, NotTlsError, TooLargeError

_RECEIVE_BYTES = 4 * 1024  # by so much may a head exceed its bound before that is noticed
_MAX_HANDSHAKE_BYTES = 20 * 1024  # usual are 4 KiB, and below 20 with post-quantum signatures; OpenSSL would take 100
MAX_CHAIN_VALUES = 500  # usual are 200, with one more for each name; OpenSSL makes some 100 bytes of each
_ALERT, _HANDSHAKE = 21, 22  # the content types that a server may begin with (RFC 8446, section 5.1)


class TlsStream:
    def __init__(self, tcp: TcpStream, context: SSL.Context) -> None:
        self._tcp = tcp
        self._tls = SSL.Connection(context, None)
        self._verify_errors: list[VerifyError] = []
        self._tls.set_app_data(self._verify_errors)
        self._tls.set_connect_state()

    async def handshake(self, tls_name: str) -> Handshake:
        """Raises NotTlsError, TooLargeError, ClosedEarlyError, OSError or SSL.Error; not for a bad certificate."""
        if not names.ip_literal(tls_name):
            self._tls.set_tlsext_host_name(tls_name.encode())
        received = 0
        chain: tuple[bytes, ...] = ()
        while not self._finished():
            if received and not chain:
                chain = self._chain()
                check_chain_size(chain)  # now: the rest of the handshake may never come
            await self._flush()
            content = await self._received()
            if not received and content[0] not in (_ALERT, _HANDSHAKE):
                raise NotTlsError(f"the server greets with {content[:16]!r}")
            received += len(content)
            if received > _MAX_HANDSHAKE_BYTES:
                raise TooLargeError(f"the handshake has more than {_MAX_HANDSHAKE_BYTES} bytes")
            self._tls.bio_write(content)
        # What OpenSSL still has to say in TLS 1.3 goes out together with the first request, if there is one.
        version, cipher = self._tls.get_protocol_version_name(), self._tls.get_cipher_name()
        return Handshake(chain or self._chain(), tuple(self._verify_errors), version, cipher)

    def _chain(self) -> tuple[bytes, ...]:
        """As presented, the leaf first; empty as long as none has come."""
        presented = self._tls.get_peer_cert_chain() or ()
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in presented)

    def verified_chain(self) -> Sequence[crypto.X509]:
        """As OpenSSL built it, the leaf first, up to the trust anchor. It means nothing where there are complaints."""
        return self._tls.get_verified_chain() or ()

    def _finished(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    async def _received(self) -> bytes:
        content = await self._tcp.receive()
        if not content:
            raise ClosedEarlyError("the connection was closed during the TLS handshake")
        return content

    async def send(self, content: bytes) -> None:
        self._tls.sendall(content)
        await self._flush()

    async def receive(self) -> bytes:
        """Empty at the end of the stream, be it announced or not: HTTP knows whether anything is missing."""
        while True:
            try:
                return self._tls.recv(_RECEIVE_BYTES)
            except SSL.ZeroReturnError:
                return b""
            except SSL.WantReadError:
                await self._flush()
                content = await self._tcp.receive()
                if not content:
                    return b""
                self._tls.bio_write(content)

    async def _flush(self) -> None:
        """Sends what OpenSSL has ready, be it ours or its own."""
        try:
            content = self._tls.bio_read(READ_BYTES)
        except SSL.WantReadError:
            return
        await self._tcp.send(content)
        if len(content) == READ_BYTES:
            await self._flush()


def check_chain_size(chain: Sequence[bytes]) -> None:
    """Raises TooLargeError for one that takes much memory, few bytes as it may have."""
    count = sum(map(count_values, chain))
    if count > MAX_CHAIN_VALUES:
        raise TooLargeError(f"the certificates consist of {count} values, at most {MAX_CHAIN_VALUES} are read")
