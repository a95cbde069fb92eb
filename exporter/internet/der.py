"""What a certificate costs, read from its DER (ITU-T X.690): how many values it consists of, and an RSA key's exponent.

OpenSSL allocates some 100 bytes for each value, whether it is a long signature or an empty name, which has two bytes.
So a chain's size does not predict its memory use.
"""

_CONSTRUCTED, _HIGH_TAG_NUMBER = 0x20, 0x1F  # bits of the identifier octet: values within; the tag number follows
_OCTET_STRING, _CONSTRUCTED_OCTET_STRING = 0x04, 0x24


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
