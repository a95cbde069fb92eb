"""The size of the finite-field group that a server chooses for a key exchange (RFC 5246, section 7.4.3).

A server may choose one so large that a handshake takes seconds of CPU. Below TLS 1.3 its choice is not encrypted, so it
can be read before OpenSSL works with it.
"""

_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_HANDSHAKE, _SERVER_KEY_EXCHANGE = 22, 12


def group_bits(received: bytes) -> int:
    """Return the bits of the prime in what a server has sent so far, 0 where it has not come yet."""
    messages = _handshake_messages(received)
    at = 0
    while at + _MESSAGE_HEADER + 2 <= len(messages):
        if messages[at] == _SERVER_KEY_EXCHANGE:
            return 8 * int.from_bytes(messages[at + _MESSAGE_HEADER : at + _MESSAGE_HEADER + 2])
        at += _MESSAGE_HEADER + int.from_bytes(messages[at + 1 : at + _MESSAGE_HEADER])
    return 0


def _handshake_messages(received: bytes) -> bytes:
    """Return what the records of type handshake hold; messages may begin and end anywhere in them."""
    content, at = b"", 0
    while at + _RECORD_HEADER <= len(received):
        end = at + _RECORD_HEADER + int.from_bytes(received[at + 3 : at + _RECORD_HEADER])
        if received[at] == _HANDSHAKE:
            content += received[at + _RECORD_HEADER : end]
        at = end
    return content
