"""The standard names of TLS versions and cipher suites."""

import ssl

import pytest

from exporter.reports.tls_names import CIPHER_SUITES, TLS_VERSIONS


def test_every_tls_version_has_a_name() -> None:
    """OpenSSL writes versions without the space, and omits the zero of TLS 1.0."""
    versions = {version.name.replace("_", ".") for version in ssl.TLSVersion if version.value > 0}
    assert versions == set(TLS_VERSIONS)
    assert {name.replace(" ", "v").removesuffix(".0") for name in TLS_VERSIONS.values()} == versions


@pytest.mark.parametrize("name", CIPHER_SUITES)
def test_every_cipher_suite_exists_in_openssl(name: str) -> None:
    """`set_ciphers` raises an error for unknown names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(f"{name}:@SECLEVEL=0")
    assert name in {cipher["name"] for cipher in context.get_ciphers()}
