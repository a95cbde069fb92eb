"""Runs a real Apache on a loopback port, without privileges, with all its files in one folder."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import bcrypt

from exporter.demo.authority import IssuedCertificate
from exporter.demo.listener import LOOPBACK
from tests.e2e.processes import NotStartedError, log_on_failure, running_program
from tests.programs import program
from tests.waiting import PATIENCE

_MODULES = "/usr/lib/apache2/modules"  # where Debian puts them
_PAUSE_SECONDS = 0.01

# `User` and `Group` have an effect only for root: Apache refuses to serve anything as root.
_BASICS = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
User nobody
Group nogroup
StartServers 1
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
Listen {address}
"""
_REVERSE_PROXY = """
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
<VirtualHost {address}>
  SSLEngine on
  SSLCertificateFile {folder}/apache.pem
  {directives}
</VirtualHost>
"""
_FORWARD_PROXY = """
LoadModule proxy_connect_module {modules}/mod_proxy_connect.so
LoadModule auth_basic_module {modules}/mod_auth_basic.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authn_file_module {modules}/mod_authn_file.so
LoadModule authz_user_module {modules}/mod_authz_user.so
ProxyRequests On
AllowCONNECT {ports}
<Proxy "*">
  AuthType Basic
  AuthName proxy
  AuthUserFile {readable}/passwords
  Require valid-user
</Proxy>
"""


@contextmanager
def apache(folder: Path, certificate: IssuedCertificate, directives: str) -> Iterator[str]:
    """Yield its address, as `127.0.0.1:port`; `directives` are added to its configuration."""
    (folder / "apache.pem").write_bytes(certificate.pem)
    with _running(folder, _REVERSE_PROXY, directives=directives) as address:
        yield address


@contextmanager
def apache_as_forward_proxy(folder: Path, ports: str, user: str, password: str) -> Iterator[str]:
    """Yield its address. It connects to these ports, for this user."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    with TemporaryDirectory() as readable:  # by the user that Apache runs as, which the folders of pytest are not
        Path(readable).chmod(0o755)
        (Path(readable) / "passwords").write_text(f"{user}:{hashed.replace('$2b$', '$2y$', 1)}\n")
        with _running(folder, _FORWARD_PROXY, ports=ports, readable=readable) as address:
            yield address


@contextmanager
def _running(folder: Path, role: str, **values: str) -> Iterator[str]:
    with _reserve_port() as address:
        configuration, log = folder / "apache.conf", folder / "apache.log"
        configuration.write_text((_BASICS + role).format(modules=_MODULES, folder=folder, address=address, **values))
        command = [program("apache2"), "-DFOREGROUND", "-d", str(folder), "-f", str(configuration)]
        with running_program(command, log, os.environ) as process:
            if not _wait_until_listening(process, address):
                raise NotStartedError(f"Apache did not start; its log:\n{log.read_text()}")
            with log_on_failure(log):
                yield address


@contextmanager
def _reserve_port() -> Iterator[str]:
    """Yield a free port: Linux gives it to no program that asks for any port, and to one that asks for this port."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{reservation.getsockname()[1]}"


def _wait_until_listening(process: Popen[bytes], address: str) -> bool:
    """Return whether it accepts connections; False if it has exited, or takes too long."""
    given_up_at = time.monotonic() + PATIENCE
    port = int(address.rpartition(":")[2])
    while process.poll() is None and time.monotonic() < given_up_at:
        with suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, port)):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False
