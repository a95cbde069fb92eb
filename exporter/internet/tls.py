"""TLS over a TCP stream: OpenSSL works on two memory buffers, and this module moves the bytes."""

from collections.abc import Sequence

from OpenSSL import SSL, crypto

from exporter.internet.costs import count_values, group_bits
from exporter.internet.tcp import READ_BYTES, TcpStream
from exporter.model import names
from exporter.model.sanitize import excerpt
from exporter.probing.evidence import Handshake, VerifyError
from exporter.probing.network import ClosedEarlyError, NotTlsError, TooLargeError
from exporter.runtime.tls_records import IdleRecordsError, TlsRecords

_RECEIVE_BYTES = 4 * 1024  # by up to this much, a response may exceed its limit before that is noticed
_MAX_HANDSHAKE_BYTES = 20 * 1024  # 4 KiB are usual, and under 20 with post-quantum signatures; OpenSSL accepts 100
_MAX_IDLE_RECORDS, _MAX_IDLE_BYTES = 256, 64 * 1024  # two tickets are usual, and OpenSSL can be configured to send 255
MAX_CHAIN_VALUES = 500  # 200 are usual, with one more for each name; OpenSSL allocates some 100 bytes for each
MAX_GROUP_BITS = 4096  # of a finite-field key exchange: a tenth of a second of CPU
_ALERT, _HANDSHAKE = 21, 22  # the content types that a server may begin with (RFC 8446, section 5.1)


class TlsStream:
    """The bytes of one TLS connection, as a client. `context` decides whether OpenSSL verifies the chain."""

    def __init__(self, tcp: TcpStream, context: SSL.Context, *, limits_group: bool = False) -> None:
        """`limits_group` is for a context that offers finite-field key exchange."""
        self._tcp = tcp
        self._limits_group = limits_group
        self._tls = SSL.Connection(context, None)
        self._records = TlsRecords(_MAX_IDLE_RECORDS, _MAX_IDLE_BYTES)
        self._verify_errors: list[VerifyError] = []
        self._tls.set_app_data(self._verify_errors)
        self._tls.set_connect_state()

    def __repr__(self) -> str:
        return f"<TlsStream: {self._tls.get_state_string().decode()}, {len(self._verify_errors)} verify errors>"

    async def handshake(self, tls_name: str) -> Handshake:
        """Shake hands. A bad certificate is not an error, but a part of the result.

        Raises NotTlsError, TooLargeError, ClosedEarlyError, OSError or SSL.Error.
        """
        if not names.ip_literal(tls_name):
            self._tls.set_tlsext_host_name(tls_name.encode())
        received = b""
        chain: tuple[bytes, ...] = ()
        while not self._advance_handshake():
            if received and not chain:
                chain = self._presented_chain()
                check_chain_size(chain)  # now, because the rest of the handshake may never come
            if record := self._records.take():
                self._tls.bio_write(record)
                continue
            await self._flush()
            content = await self._receive_encrypted()
            if not received and content[0] not in (_ALERT, _HANDSHAKE):
                raise NotTlsError(f"the server's first bytes are not TLS: {excerpt(content, 16)}")
            received += content
            if len(received) > _MAX_HANDSHAKE_BYTES:
                raise TooLargeError(f"the handshake has more than {_MAX_HANDSHAKE_BYTES} bytes")
            if self._limits_group and (bits := group_bits(received)) > MAX_GROUP_BITS:
                raise TooLargeError(f"the group of the key exchange has {bits} bits, the limit is {MAX_GROUP_BITS}")
            self._records.add(content)
        self._records.end_handshake()
        # The last flight of TLS 1.3 is still in OpenSSL's buffer. It is sent with the first request, if there is one.
        version, cipher = self._tls.get_protocol_version_name(), self._tls.get_cipher_name()
        return Handshake(chain or self._presented_chain(), tuple(self._verify_errors), version, cipher)

    def _presented_chain(self) -> tuple[bytes, ...]:
        """Return the chain as the server presented it, the leaf first; empty until it has."""
        return _encode(self._tls.get_peer_cert_chain())

    def verified_chain(self) -> tuple[bytes, ...]:
        """Return the chain as OpenSSL built it, from the leaf to the trust anchor, or to where it found no issuer.

        It is meaningless if the context does not verify.
        """
        return _encode(self._tls.get_verified_chain())

    def selected_protocol(self) -> bytes:
        """Return the protocol that the server selected by ALPN (RFC 7301); empty where it selected none."""
        return self._tls.get_alpn_proto_negotiated()

    def _advance_handshake(self) -> bool:
        """Let OpenSSL go on with the handshake. Return whether it is complete."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    async def _receive_encrypted(self) -> bytes:
        content = await self._tcp.receive()
        if not content:
            raise ClosedEarlyError("the connection was closed during the TLS handshake")
        return content

    async def send(self, content: bytes) -> None:
        self._tls.sendall(content)
        await self._flush()

    async def receive(self) -> bytes:
        """Return some bytes; none at the end of the stream.

        The end may come with or without a close_notify alert: HTTP knows whether anything is missing.
        """
        while True:
            try:
                content = self._tls.recv(_RECEIVE_BYTES)
            except SSL.ZeroReturnError:
                return b""
            except SSL.WantReadError:
                if not await self._give_record():
                    return b""
            else:
                self._records.carried_data()
                return content

    async def _give_record(self) -> bool:
        """Give OpenSSL some of what was received, or will be. Return False at the end of the stream."""
        while not (part := self._next_part()):
            await self._flush()
            received = await self._tcp.receive()
            if not received:
                return False
            self._records.add(received)
        self._tls.bio_write(part)
        return True

    def _next_part(self) -> bytes:
        try:
            return self._records.take()
        except IdleRecordsError as error:
            raise TooLargeError("too many messages of TLS itself after the handshake") from error

    async def _flush(self) -> None:
        """Send everything in OpenSSL's buffer: our data, and OpenSSL's own messages."""
        try:
            content = self._tls.bio_read(READ_BYTES)
        except SSL.WantReadError:
            return
        await self._tcp.send(content)
        if len(content) == READ_BYTES:
            await self._flush()


def _encode(chain: Sequence[crypto.X509] | None) -> tuple[bytes, ...]:
    """Return the certificates in DER."""
    return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain or ())


def check_chain_size(chain: Sequence[bytes]) -> None:
    """Raise TooLargeError for a chain that takes much memory, however few bytes it has."""
    count = sum(map(count_values, chain))
    if count > MAX_CHAIN_VALUES:
        raise TooLargeError(f"the certificates consist of {count} values, the limit is {MAX_CHAIN_VALUES}")
