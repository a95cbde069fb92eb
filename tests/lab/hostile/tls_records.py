"""TLS byte by byte (RFC 5246, RFC 8446), as no library sends it."""

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
WARNING, FATAL = 1, 2
SERVER_HELLO, CERTIFICATE = 2, 11
MAX_RECORD = 1 << 14  # bytes
LONGEST_MESSAGE = 0xFFFFFF  # the largest length that a handshake message can announce
SECURE_RENEGOTIATION = b"\xff\x01\x00\x01\x00"
ECDHE_RSA_AES128_GCM = b"\xc0\x2f"

ALERTS = {
    "close_notify": 0,
    "unexpected_message": 10,
    "handshake_failure": 40,
    "access_denied": 49,
    "protocol_version": 70,
    "insufficient_security": 71,
    "internal_error": 80,
    "unrecognized_name": 112,
    "certificate_required": 116,
    "no_application_protocol": 120,
    "an unknown alert": 200,
}


def record(content_type: int, content: bytes) -> bytes:
    return bytes([content_type, 3, 3]) + len(content).to_bytes(2, "big") + content


def alert(code: int, level: int = FATAL) -> bytes:
    return record(ALERT, bytes([level, code]))


def message(message_type: int, content: bytes, length: int | None = None) -> bytes:
    """`length` is what the message announces, if not its true length."""
    announced = len(content) if length is None else length
    return bytes([message_type]) + announced.to_bytes(3, "big") + content


def server_hello(version: bytes = b"\x03\x03") -> bytes:
    """Return the ServerHello of TLS 1.2, without a session ID."""
    extensions = len(SECURE_RENEGOTIATION).to_bytes(2, "big") + SECURE_RENEGOTIATION
    content = version + bytes(32) + b"\0" + ECDHE_RSA_AES128_GCM + b"\0" + extensions
    return record(HANDSHAKE, message(SERVER_HELLO, content))


def certificate(*ders: bytes) -> bytes:
    chain = b"".join(len(der).to_bytes(3, "big") + der for der in ders)
    whole = message(CERTIFICATE, len(chain).to_bytes(3, "big") + chain)
    pieces = (whole[begin : begin + MAX_RECORD] for begin in range(0, len(whole), MAX_RECORD))
    return b"".join(record(HANDSHAKE, piece) for piece in pieces)
