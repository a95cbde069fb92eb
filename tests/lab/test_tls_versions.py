import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from exporter.demo.https_server import HttpsServer
from tests.demo.independent_clients import connect, host_and_port
from tests.lab.tls_versions import only, only_cipher

NAME = "hs.lab.test"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
async def test_only_one_version_is_offered(version: ssl.TLSVersion, tmp_path: Path) -> None:
    """A client that allows old versions can use one; others are refused."""
    authority, server = Authority(tmp_path), HttpsServer(only(version))
    context = server.certificates[NAME] = authority.issue([NAME]).server_context()
    only(version)(context)
    await server.start()
    try:
        assert await asyncio.to_thread(negotiate, server.address, authority.ca_file) == version
        outcome = await connect(server.address, NAME, authority.ca_file)
        assert (outcome == "verified") == (version is ssl.TLSVersion.TLSv1_2)
    finally:
        await server.stop()


CIPHER = "ECDHE-ECDSA-AES128-SHA256"


@pytest.mark.parametrize(
    ("offered", "negotiated"),
    [(f"{CIPHER}:ECDHE-ECDSA-AES128-GCM-SHA256", CIPHER), ("ECDHE-ECDSA-AES128-GCM-SHA256", None)],
)
async def test_only_one_cipher_suite_is_offered(offered: str, negotiated: str | None, tmp_path: Path) -> None:
    """In TLS 1.2. A client that does not offer it is refused."""
    authority, server = Authority(tmp_path), HttpsServer(only_cipher(CIPHER))
    context = server.certificates[NAME] = authority.issue([NAME]).server_context()
    only_cipher(CIPHER)(context)
    await server.start()
    try:
        assert await asyncio.to_thread(negotiate_cipher, server.address, authority.ca_file, offered) == negotiated
    finally:
        await server.stop()


def negotiate_cipher(address: str, ca_file: Path, offered: str) -> str | None:
    """Return the cipher suite that a client gets which offers these in TLS 1.2; None if it is refused."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_ciphers(offered)
    with socket.create_connection(host_and_port(address)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=NAME) as client:
                name, version, _ = client.cipher() or ("", "", 0)
        except ssl.SSLError:
            return None
    assert version == "TLSv1.2"
    return name


def negotiate(address: str, ca_file: Path) -> ssl.TLSVersion:
    """Return the version that a client gets which allows all."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with (
        socket.create_connection(host_and_port(address)) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as client,
    ):
        return {
            "TLSv1": ssl.TLSVersion.TLSv1,
            "TLSv1.1": ssl.TLSVersion.TLSv1_1,
            "TLSv1.2": ssl.TLSVersion.TLSv1_2,
            "TLSv1.3": ssl.TLSVersion.TLSv1_3,
        }[client.version() or ""]
