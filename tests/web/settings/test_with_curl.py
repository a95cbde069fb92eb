"""The exporter behind `--web.config.file`, asked by curl: real TLS, passwords, certificates of clients."""

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
REFUSED_BY_TLS = {35, 52, 55, 56}  # curl's words for a handshake or connection that the server ended


class Answer(NamedTuple):
    exit_status: int
    http_status: int
    """0 where there was no answer."""
    head: str
    body: str


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Has given the exporter its certificate; `ca.pem` trusts it."""
    made = Authority(tmp_path)
    pems.write_server(tmp_path, made)
    return made


@pytest.fixture
def clients(tmp_path: Path) -> Hierarchy:
    """Whose certificates the exporter is to take: `clients.pem`."""
    made = Hierarchy("Clients")
    (tmp_path / "clients.pem").write_bytes(pems.chain_pem(made.root))
    return made


class Running:
    """The exporter, which watches nothing, and curl."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.file = folder / "web.yaml"

    def write(self, text: str, name: str = "web.yaml") -> None:
        """In one step, as programs do that take care."""
        fresh = self.folder / "fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / name)

    async def curl(self, path: str, *options: str, scheme: str = "https") -> Answer:
        url = f"{scheme}://localhost:{self.app.addresses[0].port}{path}"
        always = ("--disable", "--silent", "--ipv4", "--noproxy", "*", "--max-time", "20", "--dump-header", "head")
        arguments = (*always, "--cacert", "ca.pem", *options, "--write-out", "\n%{http_code}", url)
        (self.folder / "head").write_bytes(b"")
        process = await asyncio.create_subprocess_exec(program("curl"), *arguments, stdout=PIPE, cwd=self.folder)
        out, _ = await process.communicate()
        body, _, status = out.decode().rpartition("\n")
        head = (self.folder / "head").read_text(encoding="ascii")
        return Answer(process.returncode or 0, int(status), head.lower(), body)

    async def healthy(self, *options: str, scheme: str = "https") -> int:
        """The HTTP status of the front page, or minus curl's exit status."""
        answer = await self.curl("/", *options, scheme=scheme)
        return -answer.exit_status or answer.http_status


@asynccontextmanager
async def running(folder: Path, text: str, *, health_without_auth: bool = False) -> AsyncIterator[Running]:
    config, file = folder / "config.yaml", folder / "web.yaml"
    config.write_text("server_files: [none.json]\n", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    web = LiveWebConfig(file, health_without_auth=health_without_auth)
    async with App(config, listen=[ANYWHERE], web=web) as app:
        yield Running(app, folder)


# ---------------------------------------------------------------- TLS


@pytest.mark.usefixtures("authority")
async def test_tls(tmp_path: Path) -> None:
    """Verified by its authority; whoever speaks plain HTTP is told nothing."""
    async with running(tmp_path, TLS) as exporter:
        answer = await exporter.curl("/metrics")
        assert (answer.exit_status, answer.http_status) == (0, 200)
        assert "matrix_federation_exporter_build_info" in answer.body
        assert await exporter.healthy(scheme="http") < 0


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize(("only", "other"), [("TLS12", "1.3"), ("TLS13", "1.2")])
async def test_versions(only: str, other: str, tmp_path: Path) -> None:
    """Clients of another version are turned away."""
    async with running(tmp_path, f"{TLS}  min_version: {only}\n  max_version: {only}\n") as exporter:
        assert await exporter.healthy() == 200
        assert await exporter.healthy(f"--tlsv{other}", "--tls-max", other) < 0


@pytest.mark.usefixtures("authority")
async def test_algorithms(tmp_path: Path) -> None:
    """Of the cipher suites and curves, those that are named are spoken."""
    chosen = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP384]\n"
    async with running(tmp_path, f"{TLS}  max_version: TLS12\n{chosen}") as exporter:
        right = ("--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--curves", "P-384:P-256")
        assert await exporter.healthy(*right) == 200
        assert await exporter.healthy(*right, "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256") < 0
        assert await exporter.healthy(*right, "--curves", "P-256") < 0


async def test_certificate_is_replaced(tmp_path: Path, authority: Authority) -> None:
    """The next connection meets the new one, without restart or reload; half of it changes nothing."""
    async with running(tmp_path, TLS) as exporter:
        first = await shown(exporter)
        old_key = (tmp_path / "key.pem").read_bytes()
        pems.write_server(tmp_path, authority)
        new_key = (tmp_path / "key.pem").read_bytes()

        (tmp_path / "key.pem").write_bytes(old_key)  # a program has written the one, and not yet the other
        with capture_logs() as logs:
            assert await shown(exporter) == first
            assert await shown(exporter) == first
        said = [entry["complaint"] for entry in logs if entry["log_level"] == "error"]
        complaint = "this is not the key of the certificate: put both files of one issue in place"
        assert said == [f"{tmp_path}/web.yaml:3: tls_server_config.key_file: {complaint}"]

        (tmp_path / "key.pem").write_bytes(new_key)
        leaf = x509.load_pem_x509_certificates((tmp_path / "cert.pem").read_bytes())[0]
        assert await shown(exporter) == leaf.serial_number != first
        assert await exporter.healthy() == 200


async def shown(exporter: Running) -> int:
    """The serial number of the certificate that a new connection meets."""
    context = ssl.create_default_context(cafile=exporter.folder / "ca.pem")
    place = exporter.app.addresses[0]
    _, writer = await asyncio.open_connection(*place, ssl=context, server_hostname="localhost")
    seen = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(seen).serial_number


# ---------------------------------------------------------------- certificates of clients


def shows(name: str) -> tuple[str, ...]:
    return ("--cert", f"{name}.pem", "--key", f"{name}-key.pem")


@pytest.mark.usefixtures("authority")
async def test_client_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """A right one is let in; a wrong one or none ends the connection."""
    pems.write_client(tmp_path, "right", clients)
    pems.write_client(tmp_path, "wrong", Hierarchy("Others"))
    async with running(tmp_path, CLIENTS) as exporter:
        assert await exporter.healthy(*shows("right")) == 200
        assert -await exporter.healthy(*shows("wrong")) in REFUSED_BY_TLS
        assert -await exporter.healthy() in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_certificate_if_given(tmp_path: Path, clients: Hierarchy) -> None:
    """None is good, a wrong one is not."""
    pems.write_client(tmp_path, "right", clients)
    pems.write_client(tmp_path, "wrong", Hierarchy("Others"))
    text = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    async with running(tmp_path, text) as exporter:
        assert await exporter.healthy(*shows("right")) == 200
        assert -await exporter.healthy(*shows("wrong")) in REFUSED_BY_TLS
        assert await exporter.healthy() == 200


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
    """One that is listed, letter by letter, or the connection ends."""
    listed = (
        '["prometheus.example.org", "prometheus@example.org", "spiffe://example.org/prometheus", "192.0.2.1", '
        '"2001:db8::1"]'
    )
    pems.write_client(tmp_path, "client", clients, [name] if name else [])
    async with running(tmp_path, f"{CLIENTS}  client_allowed_sans: {listed}\n") as exporter:
        found = await exporter.healthy(*shows("client"))
    assert found == 200 if allowed else -found in REFUSED_BY_TLS


@pytest.mark.usefixtures("authority")
async def test_authorities_are_replaced(tmp_path: Path, clients: Hierarchy) -> None:
    """Those who were let in before no longer are."""
    pems.write_client(tmp_path, "old", clients)
    async with running(tmp_path, CLIENTS) as exporter:
        assert await exporter.healthy(*shows("old")) == 200
        others = Hierarchy("Others")
        pems.write_client(tmp_path, "new", others)
        exporter.write(pems.chain_pem(others.intermediate).decode(), "clients.pem")
        assert -await exporter.healthy(*shows("old")) in REFUSED_BY_TLS
        assert await exporter.healthy(*shows("new")) == 200


# ---------------------------------------------------------------- passwords


async def test_passwords(tmp_path: Path) -> None:
    """The right one is let in, all else is asked for one, on every page."""
    async with running(tmp_path, USERS) as exporter:
        assert await exporter.healthy("--user", f"alice:{PASSWORD}", scheme="http") == 200
        for wrong in ("alice:wrong", "alice:", f"bob:{PASSWORD}", f":{PASSWORD}"):
            assert await exporter.healthy("--user", wrong, scheme="http") == 401
        for header in ("Basic", "Basic !", "Basic YWxpY2U=", "Bearer x", ""):
            assert await exporter.healthy("--header", f"Authorization: {header}", scheme="http") == 401
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing"):
            answer = await exporter.curl(path, scheme="http")
            assert (answer.http_status, answer.body) == (401, "A user name and password are needed.\n")
            assert 'www-authenticate: basic realm="matrix-federation-exporter"' in answer.head


async def test_password_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right one is remembered, or each scrape would cost a tenth of a second; a wrong one is not."""
    asked: list[bytes] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        asked.append(password)
        return check(password, hashed)

    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running(tmp_path, USERS) as exporter:
        for password in (PASSWORD, PASSWORD, "wrong", "wrong"):
            await exporter.healthy("--user", f"alice:{password}", scheme="http")
        assert asked == [PASSWORD.encode(), b"wrong", b"wrong"]
        exporter.write(f"{USERS}# anything\n")
        assert await exporter.healthy("--user", f"alice:{PASSWORD}", scheme="http") == 200
        assert asked[3:] == [PASSWORD.encode()]


async def test_unknown_user_takes_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that exists, or the names could be found out."""
    asked: list[bytes] = []

    def checkpw(_: bytes, hashed: bytes) -> bool:
        asked.append(hashed)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running(tmp_path, USERS) as exporter:
        assert await exporter.healthy("--user", f"bob:{PASSWORD}", scheme="http") == 401
    assert asked == [HASH.encode()]


async def test_long_password(tmp_path: Path) -> None:
    """Bcrypt looks at 72 bytes, and so do programs that make hashes."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    async with running(tmp_path, f"basic_auth_users: {{alice: {hashed}}}") as exporter:
        assert await exporter.healthy("--user", f"alice:{'x' * 80}", scheme="http") == 200
        assert await exporter.healthy("--user", f"alice:{'x' * 71}", scheme="http") == 401


async def test_users_change(tmp_path: Path) -> None:
    """From the next request on; a broken file changes nothing, and a reload says why."""
    async with running(tmp_path, USERS) as exporter:
        alice, bob = (("--user", f"{name}:{PASSWORD}") for name in ("alice", "bob"))
        assert await exporter.healthy(*alice, scheme="http") == 200
        exporter.write(USERS.replace("alice", "bob"))
        assert [await exporter.healthy(*user, scheme="http") for user in (alice, bob)] == [401, 200]
        exporter.write("basic_auth_users: {bob: plain}\n")
        assert await exporter.healthy(*bob, scheme="http") == 200
        (complaint,) = await exporter.app.reload()
        assert (complaint.line, complaint.location) == (1, "basic_auth_users.bob")
        exporter.file.unlink()
        assert await exporter.healthy(*bob, scheme="http") == 200


# ---------------------------------------------------------------- health


async def test_health_is_exempt_from_passwords(tmp_path: Path) -> None:
    """Where that is asked for, and nothing else is."""
    async with running(tmp_path, USERS, health_without_auth=True) as exporter:
        paths = ("/-/healthy", "/-/ready", "/metrics", "/-/healthy/", "/-/reload")
        found = [(await exporter.curl(path, scheme="http")).http_status for path in paths]
    assert found == [200, 200, 401, 401, 401]


@pytest.mark.usefixtures("authority")
async def test_health_is_exempt_from_certificates(tmp_path: Path, clients: Hierarchy) -> None:
    """All else needs one still, and a wrong one is let in nowhere."""
    pems.write_client(tmp_path, "right", clients)
    pems.write_client(tmp_path, "wrong", Hierarchy("Others"))
    async with running(tmp_path, CLIENTS, health_without_auth=True) as exporter:
        assert (await exporter.curl("/-/healthy")).http_status == 200
        answer = await exporter.curl("/metrics")
        assert (answer.http_status, answer.body) == (403, "A client certificate is needed.\n")
        assert (await exporter.curl("/metrics", *shows("right"))).http_status == 200
        assert (await exporter.curl("/-/healthy", *shows("wrong"))).exit_status in REFUSED_BY_TLS


# ---------------------------------------------------------------- headers, rates


async def test_headers(tmp_path: Path) -> None:
    """On every answer, also on refusals; those of a page itself stay."""
    headers = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src x}}\n"
    async with running(tmp_path, USERS + headers) as exporter:
        for options in ((), ("--user", f"alice:{PASSWORD}")):
            answer = await exporter.curl("/metrics", *options, scheme="http")
            assert "x-frame-options: deny\n" in answer.head.replace("\r", "")
            assert answer.head.count("content-security-policy: default-src x") == 1
        answer = await exporter.curl("/", "--user", f"alice:{PASSWORD}", scheme="http")
        assert answer.head.count("content-security-policy") == 1
        assert "default-src 'none'" in answer.head


async def test_rate_limit(tmp_path: Path) -> None:
    """The burst is answered, and then one in each interval."""
    async with running(tmp_path, "rate_limit: {interval: 1h, burst: 2}\n") as exporter:
        assert [await exporter.healthy(scheme="http") for _ in range(3)] == [200, 200, 429]


# ---------------------------------------------------------------- beginning, reload


async def test_broken_file_lets_nothing_begin(tmp_path: Path) -> None:
    """The exporter would be open to everybody."""
    with pytest.raises(ConfigError, match="unknown key `users`"):
        async with running(tmp_path, "users: {}\n"):
            pass


@pytest.mark.usefixtures("authority")
async def test_tls_is_not_turned_off(tmp_path: Path) -> None:
    """Nor on, while the exporter runs: a slip of the pen must not open it."""
    async with running(tmp_path, TLS) as exporter:
        exporter.write(USERS)
        (complaint,) = await exporter.app.reload()
        sentence = "TLS is not turned on or off while the exporter runs: restart it"
        assert str(complaint) == f"{exporter.file}: tls_server_config: {sentence}"
        assert await exporter.healthy() == 200


async def test_file_of_the_same_size_is_seen(tmp_path: Path) -> None:
    """And with the same time of change, as some programs set it."""
    async with running(tmp_path, USERS) as exporter:
        before = exporter.file.stat()
        exporter.write(USERS.replace("alice", "carol"))
        os.utime(exporter.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert await exporter.healthy("--user", f"carol:{PASSWORD}", scheme="http") == 200
