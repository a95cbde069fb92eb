"""The number of values in a certificate, however a server encodes it, and the exponent of an RSA key."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.demo.authority import IssuedCertificate
from exporter.internet.costs import count_values, rsa_exponent
from tests.certificates import certificate
from tests.lab.hostile.bad_certificates import der

NULL, SEQUENCE, OCTETS, BITS = 0x05, 0x30, 0x04, 0x03
NOTHING = der(NULL, b"")


@pytest.mark.parametrize(
    ("encoded", "count"),
    [
        (b"", 0),
        (NOTHING, 1),
        (NOTHING * 3, 3),
        (der(SEQUENCE, b""), 1),
        (der(SEQUENCE, NOTHING * 3), 4),
        (der(SEQUENCE, der(SEQUENCE, NOTHING) + NOTHING), 4),
        (der(SEQUENCE, NOTHING * 100), 101),
        (der(SEQUENCE, NOTHING * 10_000), 10_001),
        (der(0xA0, NOTHING), 2),
        (der(OCTETS, der(SEQUENCE, NOTHING)), 3),
        (der(OCTETS, der(OCTETS, NOTHING)), 1),
        (der(OCTETS, b""), 1),
        (der(BITS, der(SEQUENCE, NOTHING)), 1),
    ],
)
def test_nested_values_and_those_in_extensions_are_counted(encoded: bytes, count: int) -> None:
    """Any other OCTET STRING, and every BIT STRING, counts as one: it is a key, a fingerprint or a signature."""
    assert count_values(encoded) == count


@pytest.mark.parametrize(
    ("encoded", "count"),
    [
        (b"\x30\x80" + NOTHING * 3 + b"\0\0", 5),
        (b"\x30\x84\0\0\0\x04" + NOTHING * 2, 3),
        (b"\x1f\x04\x28" + der(SEQUENCE, NOTHING * 19), 43),
        (der(0x24, der(OCTETS, b"\x30") + der(OCTETS, b"\x00")), 8),
    ],
    ids=["indefinite length", "long length", "high tag number", "constructed OCTET STRING"],
)
def test_an_encoding_that_only_openssl_accepts_hides_no_values(encoded: bytes, count: int) -> None:
    """OpenSSL reads BER too, which has several encodings for the same value."""
    assert count_values(encoded) == count


@pytest.mark.parametrize("cut", [b"\x30", b"\x30\x05\x05\x00", b"\x30\x84\0", b"\x05\xff" + bytes(9)])
def test_every_byte_of_a_truncated_value_counts(cut: bytes) -> None:
    assert count_values(NOTHING + cut) == 1 + len(cut)


def test_a_value_that_exceeds_the_value_around_it_hides_nothing_behind_it() -> None:
    too_long = der(OCTETS, b"\x30\x82\x40\x00")
    assert count_values(der(SEQUENCE, too_long + NOTHING * 50)) == 1 + 1 + 4 + 50


def test_values_may_be_nested_deeper_than_the_recursion_limit() -> None:
    nested = b""
    for _ in range(5000):
        nested = der(SEQUENCE, nested)
    assert count_values(nested) == 5000


def test_each_name_is_one_value(issued: IssuedCertificate) -> None:
    """A usual chain has about a hundred values."""
    few, many = (certificate(*(f"n{number}.test" for number in range(count))) for count in (10, 110))
    assert count_values(many) - count_values(few) == 100
    assert 80 < sum(count_values(each.public_bytes(Encoding.DER)) for each in issued.chain) < 150


@pytest.mark.parametrize("exponent", [3, 65537, 2**31 - 1, 2**64 + 1, 2**3072 - 1])
@pytest.mark.parametrize("bits", [1024, 8192, 2**15])
def test_an_rsa_exponent_is_read_from_its_encoding(bits: int, exponent: int) -> None:
    key = rsa.RSAPublicNumbers(exponent, max(2**bits, exponent) * 2 - 1).public_key()
    assert rsa_exponent(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)) == exponent
