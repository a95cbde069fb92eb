"""Runs a real Synapse on two loopback ports: one as behind a reverse proxy, and one with TLS."""

import base64
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, check_output

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.demo.homeserver import settings
from exporter.demo.authority import IssuedCertificate
from exporter.demo.homeserver import encode_base64, encode_public_key
from exporter.demo.listener import LOOPBACK
from exporter.model.findings import Software
from tests.e2e.processes import NotStartedError, running_program
from tests.programs import program
from tests.waiting import PATIENCE

_ENVIRONMENT = Path(__file__).parents[2] / ".venv-synapse"
PYTHON = _ENVIRONMENT / "bin" / "python"
_PRINT_VERSION = "from importlib.metadata import version; print(version('matrix-synapse'), end='')"

_PAUSE_SECONDS = 0.1

_LISTENING = re.compile(r"Synapse now listening on TCP port (\d+)(?P<tls> \(TLS\))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Synapse:
    """The addresses where it listens, as `127.0.0.1:port`, and what it must publish.

    `software` and `keys` are known from its installation and its signing key file.
    """

    http_address: str
    https_address: str
    log: Path
    software: Software
    keys: dict[str, str]


@contextmanager
def synapse(folder: Path, server_name: str, certificate: IssuedCertificate, **changed: object) -> Iterator[Synapse]:
    """Run it with all its files, including the database, in `folder`. `changed` replaces settings.

    In a folder where it ran before, it is the same homeserver again.
    """
    python = program(str(PYTHON))
    keys = {"ed25519:a_test": _signing_key(folder / "signing.key", "a_test")}
    (folder / "certificate.pem").write_bytes(certificate.pem)
    configuration, log = folder / "homeserver.yaml", folder / "synapse.log"
    configuration.write_text(json.dumps(settings(folder, server_name) | _listening(folder) | changed))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        (folder / "notices.sock").unlink(missing_ok=True)
        notices.bind(str(folder / "notices.sock"))
        environment = os.environ | {
            "NOTIFY_SOCKET": str(folder / "notices.sock"),  # it reports there that it is ready, as to systemd
            "GIT_CEILING_DIRECTORIES": str(
                _ENVIRONMENT.resolve().parent
            ),  # otherwise its version includes this repository's branch
        }
        command = [python, "-m", "synapse.app.homeserver", "--config-path", str(configuration)]
        with running_program(command, log, environment) as process:
            _wait_until_ready(process, notices, log)
            version = check_output([python, "-c", _PRINT_VERSION], text=True)
            yield Synapse(*_addresses(log.read_text()), log, Software("Synapse", version), keys)


def _signing_key(file: Path, version: str) -> str:
    """Return the public key, as unpadded base64. Where there is no file yet, it is written."""
    if not file.exists():
        file.write_text(f"ed25519 {version} {encode_base64(Ed25519PrivateKey.generate().private_bytes_raw())}\n")
    seed = file.read_text().split()[-1]
    return encode_public_key(Ed25519PrivateKey.from_private_bytes(base64.b64decode(f"{seed}==")))


def _listening(folder: Path) -> dict[str, object]:
    """Return settings with which it listens on free ports."""
    listener = {
        "type": "http",
        "port": 0,
        "bind_addresses": [LOOPBACK],
        "resources": [{"names": ["client", "federation"]}],
    }
    return {
        "tls_certificate_path": str(folder / "certificate.pem"),
        "tls_private_key_path": str(folder / "certificate.pem"),
        "listeners": [listener, listener | {"tls": True}],
        "macaroon_secret_key": encode_base64(os.urandom(32)),
    }


def _wait_until_ready(process: Popen[bytes], notices: socket.socket, log: Path) -> None:
    notices.settimeout(_PAUSE_SECONDS)
    given_up_at = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < given_up_at:
        try:
            if b"READY=1" in notices.recv(4096):
                return
        except TimeoutError:
            continue
    raise NotStartedError(f"Synapse did not start; its log:\n{log.read_text()}")


def _addresses(log: str) -> tuple[str, str]:
    """Return the addresses for http and https, from its log."""
    by_tls = {bool(match["tls"]): f"{LOOPBACK}:{match[1]}" for match in _LISTENING.finditer(log)}
    return by_tls[False], by_tls[True]
