"""What can be derived from raw evidence without any evaluation."""

from hashlib import sha256

import pytest

from exporter.probing.evidence import Handshake, HttpResponse


@pytest.mark.parametrize(
    ("name", "value"),
    [("location", "/one"), ("cache-control", "private, max-age=10"), ("expires", None), ("empty", "")],
)
def test_a_header_has_all_of_its_values(name: str, value: str | None) -> None:
    """Several headers of one name are joined (RFC 9110, section 5.2). A missing header differs from an empty one."""
    headers = (("cache-control", "private"), ("location", "/one"), ("cache-control", "max-age=10"), ("empty", ""))
    assert HttpResponse(200, headers, b"").header(name) == value


def test_the_fingerprint_covers_the_whole_chain() -> None:
    """It depends on every certificate, and on nothing else of the handshake."""
    handshake = Handshake((b"leaf", b"intermediate"), (), "TLSv1.3")
    assert handshake.fingerprint == sha256(b"leafintermediate").digest()
    assert Handshake((b"leaf",), (), "TLSv1.3").fingerprint != handshake.fingerprint
    assert Handshake((b"leaf", b"intermediate"), (), "TLSv1.2").fingerprint == handshake.fingerprint
