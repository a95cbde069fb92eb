"""The exporter with `--web.config.file`, requested by curl: real TLS, passwords and client certificates."""

import asyncio
import os
import ssl
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import bcrypt
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from exporter.app import App
from exporter.config import ConfigError
from exporter.demo.authority import Authority, Hierarchy
from exporter.web.settings.live_config import LiveWebConfig
from tests.programs import program
from tests.web import pems
from tests.web.serving import ANYWHERE

PASSWORD = "correct horse: battery staple"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")  # as htpasswd writes it
USERS = f"basic_auth_users: {{alice: {HASH}}}\n"
TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
CLIENTS = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n"
REFUSED_BY_TLS = {35, 52, 55, 56}  # curl's exit statuses for a handshake or a connection that the server ended


class Response(NamedTuple):
    exit_status: int
    http_status: int
    """0 if there was no response."""
    head: str
    body: str


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority of the exporter's certificate; its root is in `ca.pem`."""
    made = Authority(tmp_path)
    pems.write_server(tmp_path, made)
    return made


@pytest.fixture
def clients(tmp_path: Path) -> Hierarchy:
    """The authority of the client certificates that the exporter accepts; its root is in `clients.pem`."""
    made = Hierarchy("Clients")
    (tmp_path / "clients.pem").write_bytes(pems.chain_pem(made.root))
    return made


class RunningExporter:
    """An exporter that watches no servers, and curl to send it requests."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.file = folder / "web.yaml"

    def write(self, text: str, name: str = "web.yaml") -> None:
        """Replace a file atomically."""
        fresh = self.folder / "fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / name)

    async def curl(self, path: str, *options: str, scheme: str = "https") -> Response:
        url = f"{scheme}://localhost:{self.app.addresses[0].port}{path}"
        always = ("--disable", "--silent", "--ipv4", "--noproxy", "*", "--max-time", "20", "--dump-header", "head")
        arguments = (*always, "--cacert", "ca.pem", *options, "--write-out", "\n%{http_code}", url)
        (self.folder / "head").write_bytes(b"")
        process = await asyncio.create_subprocess_exec(program("curl"), *arguments, stdout=PIPE, cwd=self.folder)
        out, _ = await process.communicate()
        body, _, status = out.decode().rpartition("\n")
        head = (self.folder / "head").read_text(encoding="ascii")
        return Response(process.returncode or 0, int(status), head.lower(), body)

    async def status(self, *options: str, scheme: str = "https") -> int:
        """Return the HTTP status of the landing page, or curl's exit status as a negative number."""
        response = await self.curl("/", *options, scheme=scheme)
        return -response.exit_status or response.http_status


@asynccontextmanager
async def running(folder: Path, text: str, *, health_without_auth: bool = False) -> AsyncIterator[RunningExporter]:
    config, file = folder / "config.yaml", folder / "web.yaml"
    config.write_text("server_files: [none.json]\n", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    web = LiveWebConfig(file, health_without_auth=health_without_auth)
    async with App(config, listen=[ANYWHERE], web=web) as app:
        yield RunningExporter(app, folder)


# ---------------------------------------------------------------- TLS


@pytest.mark.usefixtures("authority")
async def test_tls(tmp_path: Path) -> None:
    """The certificate is valid for its authority, and plain HTTP gets no response."""
    async with running(tmp_path, TLS) as exporter:
        response = await exporter.curl("/metrics")
        assert (response.exit_status, response.http_status) == (0, 200)
        assert "matrix_federation_exporter_build_info" in response.body
        assert await exporter.status(scheme="http") < 0


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize(("only", "other"), [("TLS12", "1.3"), ("TLS13", "1.2")])
async def test_versions(only: str, other: str, tmp_path: Path) -> None:
    """Clients that speak only another version are refused."""
    async with running(tmp_path, f"{TLS}  min_version: {only}\n  max_version: {only}\n") as exporter:
        assert await exporter.status() == 200
        assert await exporter.status(f"--tlsv{other}", "--tls-max", other) < 0


@pytest.mark.usefixtures("authority")
async def test_algorithms(tmp_path: Path) -> None:
    """Only the configured cipher suites and curves are accepted."""
    chosen = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP384]\n"
    async with running(tmp_path, f"{TLS}  max_version: TLS12\n{chosen}") as exporter:
        configured = ("--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--curves", "P-384:P-256")
        assert await exporter.status(*configured) == 200
        assert await exporter.status(*configured, "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256") < 0
        assert await exporter.status(*configured, "--curves", "P-256") < 0


async def test_certificate_is_replaced(tmp_path: Path, authority: Authority) -> None:
    """New connections get the new certificate without a restart or a reload, once its key fits."""
    async with running(tmp_path, TLS) as exporter:
        first = await presented_serial(exporter)
        old_key = (tmp_path / "key.pem").read_bytes()
        pems.write_server(tmp_path, authority)
        new_key = (tmp_path / "key.pem").read_bytes()

        (tmp_path / "key.pem").write_bytes(old_key)  # a program has written only one of the two files yet
        with capture_logs() as logs:
            assert await presented_serial(exporter) == first
            assert await presented_serial(exporter) == first
        logged = [entry["complaint"] for entry in logs if entry["log_level"] == "error"]
        complaint = "this key does not belong to the certificate: use a certificate and a key that were issued together"
        assert logged == [f"{tmp_path}/web.yaml:3: tls_server_config.key_file: {complaint}"]

        (tmp_path / "key.pem").write_bytes(new_key)
        leaf = x509.load_pem_x509_certificates((tmp_path / "cert.pem").read_bytes())[0]
        assert await presented_serial(exporter) == leaf.serial_number != first
        assert await exporter.status() == 200


async def presented_serial(exporter: RunningExporter) -> int:
    """Return the serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=exporter.folder / "ca.pem")
    place = exporter.app.addresses[0]
    _, writer = await asyncio.open_connection(*place, ssl=context, server_hostname="localhost")
    seen = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(seen).serial_number


# ---------------------------------------------------------------- client certificates


def certificate_options(name: str) -> tuple[str, ...]:
    return ("--cert", f"{name}.pem", "--key", f"{name}-key.pem")


@pytest.mark.usefixtures("authority")
async def test_client_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """A connection without a valid client certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    async with running(tmp_path, CLIENTS) as exporter:
        assert await exporter.status(*certificate_options("valid")) == 200
        assert -await exporter.status(*certificate_options("invalid")) in REFUSED_BY_TLS
        assert -await exporter.status() in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_optional_client_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """A connection without a certificate is accepted, one with an invalid certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    text = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    async with running(tmp_path, text) as exporter:
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
    async with running(tmp_path, f"{CLIENTS}  client_allowed_sans: {names}\n") as exporter:
        found = await exporter.status(*certificate_options("client"))
    assert found == 200 if allowed else -found in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_client_authorities_are_replaced(tmp_path: Path, clients: Hierarchy) -> None:
    """Certificates of the old authority are no longer accepted."""
    pems.write_client(tmp_path, "old", clients)
    async with running(tmp_path, CLIENTS) as exporter:
        assert await exporter.status(*certificate_options("old")) == 200
        others = Hierarchy("Others")
        pems.write_client(tmp_path, "new", others)
        exporter.write(pems.chain_pem(others.intermediate).decode(), "clients.pem")
        assert -await exporter.status(*certificate_options("old")) in REFUSED_BY_TLS
        assert await exporter.status(*certificate_options("new")) == 200


# ---------------------------------------------------------------- passwords


async def test_passwords(tmp_path: Path) -> None:
    """Without the right password, every path returns 401."""
    async with running(tmp_path, USERS) as exporter:
        assert await exporter.status("--user", f"alice:{PASSWORD}", scheme="http") == 200
        for wrong in ("alice:wrong", "alice:", f"bob:{PASSWORD}", f":{PASSWORD}"):
            assert await exporter.status("--user", wrong, scheme="http") == 401
        for header in ("Basic", "Basic !", "Basic YWxpY2U=", "Bearer x", ""):
            assert await exporter.status("--header", f"Authorization: {header}", scheme="http") == 401
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing"):
            response = await exporter.curl(path, scheme="http")
            assert (response.http_status, response.body) == (401, "A user name and a password are required.\n")
            assert 'www-authenticate: basic realm="matrix-federation-exporter"' in response.head


async def test_a_right_password_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cached, because bcrypt takes a tenth of a second; a wrong password is not cached."""
    hashed_passwords: list[bytes] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        hashed_passwords.append(password)
        return original(password, hashed)

    original = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running(tmp_path, USERS) as exporter:
        for password in (PASSWORD, PASSWORD, "wrong", "wrong"):
            await exporter.status("--user", f"alice:{password}", scheme="http")
        assert hashed_passwords == [PASSWORD.encode(), b"wrong", b"wrong"]
        exporter.write(f"{USERS}# anything\n")
        assert await exporter.status("--user", f"alice:{PASSWORD}", scheme="http") == 200
        assert hashed_passwords[3:] == [PASSWORD.encode()]


async def test_an_unknown_user_takes_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is hashed for it too, so that the time does not reveal which users exist."""
    hashes: list[bytes] = []

    def checkpw(_: bytes, hashed: bytes) -> bool:
        hashes.append(hashed)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running(tmp_path, USERS) as exporter:
        assert await exporter.status("--user", f"bob:{PASSWORD}", scheme="http") == 401
    assert hashes == [HASH.encode()]


async def test_a_long_password_is_truncated(tmp_path: Path) -> None:
    """Bcrypt uses 72 bytes, and programs that create hashes truncate longer passwords silently."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    async with running(tmp_path, f"basic_auth_users: {{alice: {hashed}}}") as exporter:
        assert await exporter.status("--user", f"alice:{'x' * 80}", scheme="http") == 200
        assert await exporter.status("--user", f"alice:{'x' * 71}", scheme="http") == 401


async def test_users_are_replaced(tmp_path: Path) -> None:
    """A valid file applies from the next request on. An invalid one is not applied, and a reload reports why."""
    async with running(tmp_path, USERS) as exporter:
        alice, bob = (("--user", f"{name}:{PASSWORD}") for name in ("alice", "bob"))
        assert await exporter.status(*alice, scheme="http") == 200
        exporter.write(USERS.replace("alice", "bob"))
        assert [await exporter.status(*user, scheme="http") for user in (alice, bob)] == [401, 200]
        exporter.write("basic_auth_users: {bob: plain}\n")
        assert await exporter.status(*bob, scheme="http") == 200
        (complaint,) = await exporter.app.reload()
        assert (complaint.line, complaint.location) == (1, "basic_auth_users.bob")
        exporter.file.unlink()
        assert await exporter.status(*bob, scheme="http") == 200


# ---------------------------------------------------------------- health


async def test_health_is_exempt_from_passwords(tmp_path: Path) -> None:
    """The option exempts only the two paths for health checks."""
    async with running(tmp_path, USERS, health_without_auth=True) as exporter:
        paths = ("/-/healthy", "/-/ready", "/metrics", "/-/healthy/", "/-/reload")
        found = [(await exporter.curl(path, scheme="http")).http_status for path in paths]
    assert found == [200, 200, 401, 401, 401]


@pytest.mark.usefixtures("authority")
async def test_health_is_exempt_from_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """Every other path still requires one, and a connection with an invalid certificate is closed."""
    pems.write_client(tmp_path, "valid", clients)
    pems.write_client(tmp_path, "invalid", Hierarchy("Others"))
    async with running(tmp_path, CLIENTS, health_without_auth=True) as exporter:
        assert (await exporter.curl("/-/healthy")).http_status == 200
        response = await exporter.curl("/metrics")
        assert (response.http_status, response.body) == (403, "A client certificate is required.\n")
        assert (await exporter.curl("/metrics", *certificate_options("valid"))).http_status == 200
        assert (await exporter.curl("/-/healthy", *certificate_options("invalid"))).exit_status in REFUSED_BY_TLS


# ---------------------------------------------------------------- headers, rate limit


async def test_headers(tmp_path: Path) -> None:
    """They are in every response, including refusals. A header that a page sets itself remains."""
    headers = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src x}}\n"
    async with running(tmp_path, USERS + headers) as exporter:
        for options in ((), ("--user", f"alice:{PASSWORD}")):
            response = await exporter.curl("/metrics", *options, scheme="http")
            assert "x-frame-options: deny\n" in response.head.replace("\r", "")
            assert response.head.count("content-security-policy: default-src x") == 1
        response = await exporter.curl("/", "--user", f"alice:{PASSWORD}", scheme="http")
        assert response.head.count("content-security-policy") == 1
        assert "default-src 'none'" in response.head


async def test_rate_limit(tmp_path: Path) -> None:
    """After the burst, requests are refused until the interval is over."""
    async with running(tmp_path, "rate_limit: {interval: 1h, burst: 2}\n") as exporter:
        assert [await exporter.status(scheme="http") for _ in range(3)] == [200, 200, 429]


# ---------------------------------------------------------------- start, reload


async def test_the_exporter_does_not_start_with_an_invalid_file(tmp_path: Path) -> None:
    """Otherwise it would be open to everyone."""
    with pytest.raises(ConfigError, match="unknown key `users`"):
        async with running(tmp_path, "users: {}\n"):
            pass


@pytest.mark.usefixtures("authority")
async def test_a_reload_does_not_turn_tls_off(tmp_path: Path) -> None:
    """A mistake in the file must not make the exporter accept plain HTTP."""
    async with running(tmp_path, TLS) as exporter:
        exporter.write(USERS)
        (complaint,) = await exporter.app.reload()
        sentence = "TLS cannot be turned on or off while the exporter is running: restart it"
        assert str(complaint) == f"{exporter.file}: tls_server_config: {sentence}"
        assert await exporter.status() == 200


async def test_a_changed_file_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    """Even if the program that changed it has restored the modification time."""
    async with running(tmp_path, USERS) as exporter:
        before = exporter.file.stat()
        exporter.write(USERS.replace("alice", "carol"))
        os.utime(exporter.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert await exporter.status("--user", f"carol:{PASSWORD}", scheme="http") == 200
