"""Chains that would take much CPU time are refused before OpenSSL verifies them; over real TLS."""

import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from exporter.demo.authority import Authority
from exporter.demo.servers import CertificateSource
from exporter.internet.tls import TlsStream
from exporter.internet.tls_contexts import MAX_VERIFIED_CERTIFICATES
from exporter.probing.evidence import Handshake
from exporter.probing.network import CertificateRefusedError, TooLargeError
from tests.certificates import check_nothing
from tests.internet.raw_https import NAME, handshake_only, listening, tcp_connection
from tests.lab.hostile import costly_chains

pytestmark = pytest.mark.lab

LONG_EXPONENT = "an RSA key with a public exponent of 30[67][0-9] bits, the limit is 31"


async def shake_hands(authority: Authority, source: CertificateSource) -> Handshake:
    context = source(authority, NAME).server_context()
    async with listening(handshake_only(context)) as address, tcp_connection(address, authority) as connection:
        return await connection.start_tls(NAME, check_nothing)


@pytest.fixture
def longest_call(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Return the CPU time of the longest call of OpenSSL in a handshake, in seconds."""
    calls: list[float] = []
    advance = TlsStream._advance_handshake

    def timed(stream: TlsStream) -> bool:
        started = time.thread_time()
        try:
            return advance(stream)
        finally:
            calls.append(time.thread_time() - started)

    monkeypatch.setattr(TlsStream, "_advance_handshake", timed)
    return lambda: max(calls)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (costly_chains.issued_by_slow_keys(8), LONG_EXPONENT),
        (costly_chains.issued_by_untrusted_slow_keys(8), LONG_EXPONENT),
        (costly_chains.issued_by_itself_and_slow_keys(8), LONG_EXPONENT),
        (costly_chains.with_slow_leaf, LONG_EXPONENT),
        (costly_chains.issued_by_large_key, "an RSA key of 8200 bits, the limit is 8192"),
        (costly_chains.issued_by_dsa_key, "a DSA key"),
    ],
)
async def test_a_key_that_takes_long_is_refused(
    authority: Authority, source: CertificateSource, complaint: str
) -> None:
    """Whether or not the chain leads to a trusted root."""
    with pytest.raises(CertificateRefusedError, match=complaint):
        await shake_hands(authority, source)


@pytest.mark.parametrize(
    "source",
    [
        costly_chains.issued_by_slow_keys(8),
        costly_chains.issued_by_untrusted_slow_keys(8),
        costly_chains.issued_by_slow_keys(costly_chains.ISSUERS),
        costly_chains.issued_by_itself_and_slow_keys(8),
        costly_chains.with_slow_leaf,
    ],
)
async def test_such_a_key_is_not_even_used_once(
    authority: Authority, source: CertificateSource, longest_call: Callable[[], float]
) -> None:
    """The refusal takes a part of the time that the key would take."""
    key, message = costly_chains.slow_key(), b"message"
    signature = key.sign(message, PKCS1v15(), SHA256())
    started = time.thread_time()
    key.public_key().verify(signature, message, PKCS1v15(), SHA256())
    once = time.thread_time() - started
    with pytest.raises((CertificateRefusedError, TooLargeError)):
        await shake_hands(authority, source)
    assert longest_call() < once / 2


@pytest.mark.parametrize("issuers", [MAX_VERIFIED_CERTIFICATES - 2, MAX_VERIFIED_CERTIFICATES - 1])
async def test_the_length_of_the_chain_is_limited(authority: Authority, issuers: int) -> None:
    """The root, which is not sent, counts."""
    source = costly_chains.issued_by_many(issuers)
    if issuers + 2 <= MAX_VERIFIED_CERTIFICATES:
        assert len((await shake_hands(authority, source)).verified_chain) == MAX_VERIFIED_CERTIFICATES
    else:
        with pytest.raises(TooLargeError, match="11 certificates or more, the limit is 10"):
            await shake_hands(authority, source)
