"""How many values a certificate consists of, as DER (X.690) writes them, one within another.

OpenSSL makes some 100 bytes of each of them, be it a long signature or a name without letters, which has two: how much
memory a chain takes, its length does not tell.
"""

_CONSTRUCTED, _LONG_NUMBER = 0x20, 0x1F  # bits of the first byte: values within; the number of the kind follows
_OCTET_STRING, _OCTET_STRING_IN_PIECES = 0x04, 0x24


def count_values(der: bytes) -> int:
    """Never more than there are bytes. What DER forbids, though OpenSSL takes it, counts as one for each byte."""
    count, at, ends = 0, 0, [len(der)]
    while ends:
        if at == ends[-1]:
            ends.pop()
            continue
        kind, begin, end = _read_header(der, at)
        if end > ends[-1] or kind & _LONG_NUMBER == _LONG_NUMBER or kind == _OCTET_STRING_IN_PIECES:
            count, at = count + ends[-1] - at, ends[-1]
            continue
        count, at = count + 1, end
        if kind & _CONSTRUCTED or (kind == _OCTET_STRING and der[begin:end] and der[begin] & _CONSTRUCTED):
            at = begin
            ends.append(end)
    return count


def _read_header(der: bytes, at: int) -> tuple[int, int, int]:
    """The kind of the value that stands there, and where its content begins and ends."""
    begin, size = at + 2, int.from_bytes(der[at + 1 : at + 2])
    if size > 0x7F:
        begin += size & 0x7F
        size = int.from_bytes(der[at + 2 : begin])
    return der[at], begin, begin + size
