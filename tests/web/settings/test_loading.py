"""The web configuration file: what a valid one means, and which complaints an invalid one gets."""

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

INVALID_FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
SECTIONS = {
    "": WebSettingsFile,
    "tls_server_config.": TlsServerSettings,
    "http_server_config.": HttpServerSettings,
    "rate_limit.": RateLimitSettings,
}
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"

VALID = f"""
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
    """A folder with every file that a web configuration in `cases` names."""
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


def complaints_about(folder: Path, text: str) -> str:
    """Return all complaints about a file, without its name and its folder."""
    with pytest.raises(ConfigError) as raised:
        load(folder, text)
    return "\n".join(
        line.removeprefix(f"{folder}/web.yaml:").strip().replace(f"{folder}/", "")
        for line in str(raised.value).splitlines()
    )


# ---------------------------------------------------------------- valid files


def test_every_key_has_its_effect(folder: Path) -> None:
    """Headers with an empty value are not sent."""
    found = load(folder, VALID)
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


def test_the_toolkit_accepts_the_same_file(folder: Path) -> None:
    """The version of promtool in Debian does not know two of the keys yet."""
    file = folder / "web.yaml"
    known = [line for line in VALID.splitlines() if "client_allowed_sans" not in line and "rate_limit" not in line]
    file.write_text("\n".join(known), encoding="utf-8")
    checked = subprocess.run(
        [program("promtool"), "check", "web-config", file], check=False, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, f"{file} SUCCESS\n")


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n\n", "{}", "tls_server_config: {}\nbasic_auth_users: {}\nrate_limit: {interval: 0}"]
)
def test_a_file_may_be_empty(text: str, folder: Path) -> None:
    """An empty file allows every request, as does a missing option."""
    assert load(folder, text) == WebConfig()


def test_certificates_and_keys_may_be_inline(folder: Path) -> None:
    """The PEM text may be in the web configuration itself."""
    inline = "\n".join(
        f"  {key}: |\n" + "".join(f"    {line}\n" for line in (folder / file).read_text().splitlines())
        for key, file in (("cert", "cert.pem"), ("key", "key.pem"), ("client_ca", "ca.pem"))
    )
    found = load(folder, f"tls_server_config:\n{inline}  client_auth_type: VerifyClientCertIfGiven\n").tls
    assert found
    assert found.verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize("suite", CIPHER_SUITES)
def test_every_cipher_suite_can_be_chosen(suite: str, folder: Path) -> None:
    """If only suites of TLS 1.3 are chosen, TLS 1.2 is disabled."""
    context = tls(folder, f"cipher_suites: [{suite}]")
    older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    if CIPHER_SUITES[suite]:
        assert older == [CIPHER_SUITES[suite]]
    else:
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_is_the_only_one_that_is_accepted(curve: str, folder: Path) -> None:
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


def test_defaults_of_tls(folder: Path) -> None:
    """The defaults are TLS 1.2 and 1.3, the server's order of cipher suites, and no client certificates."""
    context = tls(folder, "client_auth_type: RequestClientCert")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.verify_mode is ssl.CERT_NONE
    assert tls(folder, "max_version: TLS12").maximum_version is ssl.TLSVersion.TLSv1_2


# ---------------------------------------------------------------- invalid files


@pytest.mark.parametrize("path", INVALID_FILES, ids=lambda path: path.stem)
def test_an_invalid_file_gets_the_complaints_in_its_comments(path: Path, folder: Path) -> None:
    """The comments at the start of a file in `cases` are all its complaints, with line, key path and sentence."""
    text = path.read_text(encoding="utf-8")
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    assert complaints_about(folder, text) == "\n".join(expected)


@pytest.mark.parametrize("key", [section + field.name for section, keys in SECTIONS.items() for field in fields(keys)])
def test_every_key_has_an_invalid_file(key: str) -> None:
    """Otherwise nobody has read the complaints about that key."""
    heads = [line for path in INVALID_FILES for line in path.read_text(encoding="utf-8").splitlines() if line[0] == "#"]
    assert any(head.split(": ")[1].startswith(key) for head in heads)


def test_complaints_do_not_contain_secrets(folder: Path) -> None:
    """Complaints appear in logs, which other people read."""
    complaints = complaints_about(
        folder, "basic_auth_users: {alice: hunter2, bob: 12345}\ntls_server_config: {key: hunter3}"
    )
    assert not any(secret in complaints for secret in ("hunter", "12345"))


def test_a_missing_file_is_not_an_empty_one(tmp_path: Path) -> None:
    """It is an error, because the exporter would be open to everyone."""
    with pytest.raises(ConfigError, match="expected a file, found none with this name: check the path"):
        loading.load(tmp_path / "web.yaml", WatchedFiles())


# ---------------------------------------------------------------- the command


def test_check_web_config_lists_all_complaints(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0 for a valid file and 2 for an invalid one."""
    file = folder / "web.yaml"
    file.write_text(VALID, encoding="utf-8")
    assert cli.main(["check-web-config", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: valid\n", "")
    file.write_text("rate_limit: {burst: 0}\nusers: {}\n", encoding="utf-8")
    assert cli.main(["check-web-config", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, [line.split(": ")[0] for line in err.splitlines()]) == ("", [f"{file}:1", f"{file}:2"])
