"""A real Apache, on a port of loopback, without privileges, everything in one folder."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

from exporter.demo.authority import IssuedCertificate
from exporter.demo.listener import LOOPBACK
from tests.e2e.processes import NotStartedError, running, showing
from tests.programs import program
from tests.waiting import PATIENCE

MODULES = "/usr/lib/apache2/modules"  # where Debian puts them
LOOK_SECONDS = 0.01

# `User` and `Group` count for root alone, as whom Apache refuses to serve anything.
MAIN = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
User nobody
Group nogroup
StartServers 1
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
Listen {address}
<VirtualHost {address}>
  SSLEngine on
  SSLCertificateFile {folder}/apache.pem
  {directives}
</VirtualHost>
"""


@contextmanager
def apache(folder: Path, certificate: IssuedCertificate, directives: str) -> Iterator[str]:
    """Where it is, as `127.0.0.1:port`; `directives` are in Apache's own words."""
    with reserved_port() as address:
        (folder / "apache.pem").write_bytes(certificate.pem)
        configuration, log = folder / "apache.conf", folder / "apache.log"
        configuration.write_text(MAIN.format(modules=MODULES, folder=folder, address=address, directives=directives))
        command = [program("apache2"), "-DFOREGROUND", "-d", str(folder), "-f", str(configuration)]
        with running(command, log, os.environ) as process:
            if not answers(process, address):
                raise NotStartedError(f"Apache did not start; its log:\n{log.read_text()}")
            with showing(log):
                yield address


@contextmanager
def reserved_port() -> Iterator[str]:
    """Linux gives it to nobody who wants any port, and lets somebody listen there who wants this one."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{reservation.getsockname()[1]}"


def answers(process: Popen[bytes], address: str) -> bool:
    """As soon as it accepts connections; false where it has ended, or takes too long."""
    given_up_at = time.monotonic() + PATIENCE
    port = int(address.rpartition(":")[2])
    while process.poll() is None and time.monotonic() < given_up_at:
        with suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, port)):
            return True
        time.sleep(LOOK_SECONDS)
    return False
