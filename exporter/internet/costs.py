"""What a handshake costs, read from its bytes before OpenSSL works with them. There are three costs:

- the memory of a certificate: OpenSSL allocates some 100 bytes for each of its values (DER: ITU-T X.690), whether it is
  a long signature or an empty name, which has two bytes, so that a chain's size does not predict its memory use;
- the CPU time of a verification, which grows with the exponent of an RSA key;
- the CPU time of a finite-field key exchange, which grows with the group that the server chooses (RFC 5246, section
  7.4.3). Below TLS 1.3 its choice is not encrypted.
"""

_CONSTRUCTED, _HIGH_TAG_NUMBER = 0x20, 0x1F  # bits of the identifier octet: values within; the tag number follows
_OCTET_STRING, _CONSTRUCTED_OCTET_STRING = 0x04, 0x24

_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_HANDSHAKE, _SERVER_KEY_EXCHANGE = 22, 12


def count_values(der: bytes) -> int:
    """Return the number of values, nested ones included, which is at most the number of bytes.

    There are four cases of a value:

    - It exceeds the value around it, or has an encoding that DER forbids though OpenSSL accepts it: every byte up to
      the end of the value around it counts as a value.
    - It is constructed: it counts as one, and so does each value in it.
    - It is an OCTET STRING that seems to hold a constructed value, as extensions do: it is counted as constructed.
    - It is primitive: it counts as one.
    """
    count, offset, ends = 0, 0, [len(der)]
    while ends:
        if offset == ends[-1]:
            ends.pop()
            continue
        tag, begin, end = _read_header(der, offset)
        if end > ends[-1] or tag & _HIGH_TAG_NUMBER == _HIGH_TAG_NUMBER or tag == _CONSTRUCTED_OCTET_STRING:
            count, offset = count + ends[-1] - offset, ends[-1]
            continue
        count, offset = count + 1, end
        if tag & _CONSTRUCTED or (tag == _OCTET_STRING and der[begin:end] and der[begin] & _CONSTRUCTED):
            offset = begin
            ends.append(end)
    return count


def rsa_exponent(public_key: bytes) -> int:
    """Return the public exponent in a SubjectPublicKeyInfo as OpenSSL writes it.

    It is a SEQUENCE of the algorithm and of a BIT STRING, which holds a SEQUENCE of the modulus and the exponent
    (RFC 8017, appendix A.1.1).
    """
    _, algorithm, _ = _read_header(public_key, 0)
    _, _, bit_string = _read_header(public_key, algorithm)
    _, unused_bits, _ = _read_header(public_key, bit_string)
    _, modulus, _ = _read_header(public_key, unused_bits + 1)
    _, _, exponent = _read_header(public_key, modulus)
    _, begin, end = _read_header(public_key, exponent)
    return int.from_bytes(public_key[begin:end])


def _read_header(der: bytes, offset: int) -> tuple[int, int, int]:
    """Return the identifier octet of the value at `offset`, and where its contents begin and end."""
    begin, size = offset + 2, int.from_bytes(der[offset + 1 : offset + 2])
    if size > 0x7F:
        begin += size & 0x7F
        size = int.from_bytes(der[offset + 2 : begin])
    return der[offset], begin, begin + size


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
