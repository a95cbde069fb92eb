"""The web configuration file: what a good one means, and what is said of a bad one."""

import shutil
import ssl
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from exporter import cli
from exporter.config import ConfigError
from exporter.web.settings import loading
from exporter.web.settings.declaration import (
    CIPHER_SUITES,
    CURVES,
    HttpServerSettings,
    RateLimitSettings,
    TlsServerSettings,
    WebSettingsFile,
)
from exporter.web.settings.loading import WatchedFiles, WebConfig
from tests.programs import program
from tests.web import pems

BAD_FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
SECTIONS = {
    "": WebSettingsFile,
    "tls_server_config.": TlsServerSettings,
    "http_server_config.": HttpServerSettings,
    "rate_limit.": RateLimitSettings,
}
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"

GOOD = f"""
tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example.org, "2001:db8::1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security:
    X-XSS-Protection: 0
    Content-Security-Policy: ""
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 1s, burst: 5}}
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    pems.write_all(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, certificates: Path) -> Path:
    """With all that a file may name."""
    shutil.copytree(certificates, tmp_path, dirs_exist_ok=True)
    return tmp_path


def load(folder: Path, text: str) -> WebConfig:
    file = folder / "web.yaml"
    file.write_text(text, encoding="utf-8")
    return loading.load(file, WatchedFiles())


def tls(folder: Path, text: str) -> ssl.SSLContext:
    context = load(folder, f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {text}}}").tls
    assert context
    return context


def refusal(folder: Path, text: str) -> str:
    """All that is said of a file, without its name and folder."""
    with pytest.raises(ConfigError) as refused:
        load(folder, text)
    return "\n".join(
        line.removeprefix(f"{folder}/web.yaml:").strip().replace(f"{folder}/", "")
        for line in str(refused.value).splitlines()
    )


# ---------------------------------------------------------------- good ones


def test_every_key_has_its_effect(folder: Path) -> None:
    """Blank headers are none."""
    found = load(folder, GOOD)
    assert found.tls
    suites = {cipher["name"] for cipher in found.tls.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert suites == {"ECDHE-ECDSA-AES128-GCM-SHA256"}
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert not found.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert found.tls.cert_store_stats()["x509_ca"] == 2
    assert (found.client_certificate_needed, found.headers) == (
        True,
        {"X-Frame-Options": "deny", "X-XSS-Protection": "0"},
    )
    assert found.passwords
    assert found.rate_limit


def test_the_toolkit_takes_the_same_file(folder: Path) -> None:
    """By the command that Prometheus itself has for it; Debian's does not know two keys yet."""
    file = folder / "web.yaml"
    known = [line for line in GOOD.splitlines() if "client_allowed_sans" not in line and "rate_limit" not in line]
    file.write_text("\n".join(known), encoding="utf-8")
    checked = subprocess.run(
        [program("promtool"), "check", "web-config", file], check=False, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, f"{file} SUCCESS\n")


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n\n", "{}", "tls_server_config: {}\nbasic_auth_users: {}\nrate_limit: {interval: 0}"]
)
def test_a_file_may_say_nothing(text: str, folder: Path) -> None:
    """Then everybody may ask for everything, as without it."""
    assert load(folder, text) == WebConfig()


def test_certificates_and_keys_may_stand_in_the_file(folder: Path) -> None:
    """Instead of files of their own."""
    inline = "\n".join(
        f"  {key}: |\n" + "".join(f"    {line}\n" for line in (folder / file).read_text().splitlines())
        for key, file in (("cert", "cert.pem"), ("key", "key.pem"), ("client_ca", "ca.pem"))
    )
    found = load(folder, f"tls_server_config:\n{inline}  client_auth_type: VerifyClientCertIfGiven\n").tls
    assert found
    assert found.verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize("suite", CIPHER_SUITES)
def test_every_cipher_suite_can_be_had(suite: str, folder: Path) -> None:
    """Where only those of TLS 1.3 are named, nothing older is spoken."""
    context = tls(folder, f"cipher_suites: [{suite}]")
    older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    if CIPHER_SUITES[suite]:
        assert older == [CIPHER_SUITES[suite]]
    else:
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_can_be_had(curve: str, folder: Path) -> None:
    """A client that offers the curve is accepted, and a client that only offers another one is refused."""
    context = tls(folder, f"curve_preferences: [{curve}]")
    other = next(name for name in CURVES if name != curve)
    assert [accepts(context, CURVES[offered]) for offered in (curve, other)] == [True, False]


def accepts(context: ssl.SSLContext, curve: str) -> bool:
    """Whether a handshake with a client that only offers this curve succeeds."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    anyone.set_ecdh_curve(curve)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [anyone.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True)]
    for side in sides * 2:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return False
    return all(side.cipher() for side in sides)


def test_versions_and_defaults(folder: Path) -> None:
    """TLS 1.2 and 1.3, the server's choice of ciphers, and no certificates of clients."""
    context = tls(folder, "client_auth_type: RequestClientCert")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.verify_mode is ssl.CERT_NONE
    assert tls(folder, "max_version: TLS12").maximum_version is ssl.TLSVersion.TLSv1_2


# ---------------------------------------------------------------- bad ones


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_in_the_words_at_its_head(path: Path, folder: Path) -> None:
    """The comments at the head of a case are all its complaints: line, place, sentence."""
    text = path.read_text(encoding="utf-8")
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    assert refusal(folder, text) == "\n".join(expected)


@pytest.mark.parametrize("key", [place + field.name for place, keys in SECTIONS.items() for field in fields(keys)])
def test_every_key_has_a_bad_file(key: str) -> None:
    """A key without one would be refused in words that nobody has read."""
    heads = [line for path in BAD_FILES for line in path.read_text(encoding="utf-8").splitlines() if line[0] == "#"]
    assert any(head.split(": ")[1].startswith(key) for head in heads)


def test_no_secret_is_repeated(folder: Path) -> None:
    """Complaints go to logs, which others read."""
    said = refusal(folder, "basic_auth_users: {alice: hunter2, bob: 12345}\ntls_server_config: {key: hunter3}")
    assert not any(secret in said for secret in ("hunter", "12345"))


def test_missing_file(tmp_path: Path) -> None:
    """Is no empty one."""
    with pytest.raises(ConfigError, match="expected a file, found nothing of that name: check the path"):
        loading.load(tmp_path / "web.yaml", WatchedFiles())


# ---------------------------------------------------------------- the command


def test_check_web_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 for a good file, 2 with every complaint for a bad one."""
    file = folder / "web.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert cli.main(["check-web-config", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: valid\n", "")
    file.write_text("rate_limit: {burst: 0}\nusers: {}\n", encoding="utf-8")
    assert cli.main(["check-web-config", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, [line.split(": ")[0] for line in err.splitlines()]) == ("", [f"{file}:1", f"{file}:2"])
