"""TLS and client certificates, with curl as the client."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from exporter.demo.authority import Hierarchy
from tests.faults.measuring import measured_steps
from tests.programs import program
from tests.waiting import PATIENCE, PAUSE
from tests.web import pems
from tests.web.settings.exporter_with_curl import (
    CLIENTS,
    REFUSED_BY_TLS,
    TLS,
    certificate_options,
    running_exporter,
)

pytestmark = pytest.mark.lab


@pytest.mark.usefixtures("authority")
async def test_tls(tmp_path: Path) -> None:
    """The certificate is valid for its authority, and plain HTTP gets no response."""
    async with running_exporter(tmp_path, TLS) as exporter:
        response = await exporter.curl("/metrics")
        assert (response.exit_status, response.http_status) == (0, 200)
        assert "matrix_federation_exporter_build_info" in response.body
        assert await exporter.status(scheme="http") < 0


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize(("only", "other"), [("TLS12", "1.3"), ("TLS13", "1.2")])
async def test_versions(only: str, other: str, tmp_path: Path) -> None:
    """Clients that speak only another version are refused."""
    async with running_exporter(tmp_path, f"{TLS}  min_version: {only}\n  max_version: {only}\n") as exporter:
        assert await exporter.status() == 200
        assert await exporter.status(f"--tlsv{other}", "--tls-max", other) < 0


@pytest.mark.usefixtures("authority")
async def test_algorithms(tmp_path: Path) -> None:
    """Only the configured cipher suites and curves are accepted."""
    chosen = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP384]\n"
    async with running_exporter(tmp_path, f"{TLS}  max_version: TLS12\n{chosen}") as exporter:
        configured = ("--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--curves", "P-384:P-256")
        assert await exporter.status(*configured) == 200
        assert await exporter.status(*configured, "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256") < 0
        assert await exporter.status(*configured, "--curves", "P-256") < 0


@pytest.mark.system("openssl")
@pytest.mark.usefixtures("authority")
async def test_a_client_that_only_updates_its_keys_is_disconnected(tmp_path: Path) -> None:
    """It costs about as much CPU time as one that sends requests, instead of keeping the exporter busy for minutes."""
    async with running_exporter(tmp_path, TLS) as exporter:
        await exporter.status()
        async with measured_steps() as usual:
            await exporter.status()
        async with measured_steps() as flood:
            await _update_keys(exporter.app.addresses[0].port)
        assert await exporter.status() == 200
    assert flood.total < 10 * usual.total
    assert flood.longest < 10 * usual.longest


async def _update_keys(port: int) -> None:
    """Connect, and update keys until the exporter closes the connection."""
    client = await create_subprocess_exec(
        *(program("openssl"), "s_client", "-4", "-tls1_3", "-connect", f"localhost:{port}"),
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    assert client.stdin
    async with asyncio.timeout(PATIENCE):
        while client.returncode is None:
            with suppress(ConnectionError):
                client.stdin.write(b"k\n")  # a KeyUpdate (openssl-s_client(1ssl), "CONNECTED COMMANDS")
                await client.stdin.drain()
            await asyncio.sleep(PAUSE)  # each read of the program is one command


# ---------------------------------------------------------------- client certificates


@pytest.mark.usefixtures("authority")
async def test_client_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """A connection without a valid client certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    async with running_exporter(tmp_path, CLIENTS) as exporter:
        assert await exporter.status(*certificate_options("valid")) == 200
        assert -await exporter.status(*certificate_options("invalid")) in REFUSED_BY_TLS
        assert -await exporter.status() in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_optional_client_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """A connection without a certificate is accepted, one with an invalid certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    text = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    async with running_exporter(tmp_path, text) as exporter:
        assert await exporter.status(*certificate_options("valid")) == 200
        assert -await exporter.status(*certificate_options("invalid")) in REFUSED_BY_TLS
        assert await exporter.status() == 200


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        (x509.DNSName("prometheus.example.org"), True),
        (x509.RFC822Name("prometheus@example.org"), True),
        (x509.UniformResourceIdentifier("spiffe://example.org/prometheus"), True),
        (x509.IPAddress(ip_address("192.0.2.1")), True),
        (x509.IPAddress(ip_address("2001:db8::1")), True),
        (x509.DNSName("example.org"), False),
        (x509.DNSName("*.example.org"), False),
        (None, False),
    ],
)
async def test_allowed_names(
    name: x509.GeneralName | None,
    allowed: bool,  # noqa: FBT001 - one of the cases
    tmp_path: Path,
    clients: Hierarchy,
) -> None:
    """The connection is closed unless the certificate contains one of the names, as an exact match."""
    names = (
        '["prometheus.example.org", "prometheus@example.org", "spiffe://example.org/prometheus", "192.0.2.1", '
        '"2001:db8::1"]'
    )
    pems.write_client(tmp_path, "client", clients, [name] if name else [])
    async with running_exporter(tmp_path, f"{CLIENTS}  client_allowed_sans: {names}\n") as exporter:
        found = await exporter.status(*certificate_options("client"))
    assert found == 200 if allowed else -found in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_health_is_exempt_from_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """Every other path still requires one, and a connection with an invalid certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    async with running_exporter(tmp_path, CLIENTS, health_without_auth=True) as exporter:
        assert (await exporter.curl("/-/healthy")).http_status == 200
        response = await exporter.curl("/metrics")
        assert (response.http_status, response.body) == (403, "A client certificate is required.\n")
        assert (await exporter.curl("/metrics", *certificate_options("valid"))).http_status == 200
        assert (await exporter.curl("/-/healthy", *certificate_options("invalid"))).exit_status in REFUSED_BY_TLS
