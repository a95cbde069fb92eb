"""Runs a real nginx on free loopback ports, without privileges, with all its files in one folder."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

from exporter.demo.authority import IssuedCertificate
from exporter.demo.listener import LOOPBACK
from tests.e2e.processes import NotStartedError, log_on_failure, running_program
from tests.programs import program
from tests.waiting import PATIENCE

# `user` has an effect only for root, whose nginx would run its worker as a user that may not open the folder.
_CONFIGURATION = """
daemon off;
worker_processes 1;
user root root;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/client_body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""

_TLS = "ssl; ssl_certificate {pem}; ssl_certificate_key {pem}"
_SERVER = """
  server {{
    listen {address} {tls};
    {locations}
  }}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """`locations` is a part of nginx's configuration. A site without a certificate speaks plain HTTP.

    `listen_on` is an IPv4 address and a port.
    """

    certificate: IssuedCertificate | None
    locations: str
    listen_on: tuple[str, int] = (LOOPBACK, 0)


@contextmanager
def nginx(folder: Path, sites: Sequence[Site]) -> Iterator[list[str]]:
    """Yield the address of each site, such as `127.0.0.1:port`.

    The listening sockets are opened here and handed over, as from one nginx to the next in an upgrade: no other program
    can take a port, and the test need not wait for nginx to listen.
    """
    with ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server(site.listen_on)) for site in sites]
        addresses = ["{}:{}".format(*port.getsockname()) for port in ports]
        files = [port.fileno() for port in ports]
        configuration = folder / "nginx.conf"
        configuration.write_text(_render(folder, sites, addresses))
        command = [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
        environment = os.environ | {"NGINX": "".join(f"{file};" for file in files)}
        _check(command, environment, files)
        log = folder / "nginx.log"
        stack.enter_context(running_program(command, log, environment, files))
        stack.enter_context(log_on_failure(log))
        yield addresses


def _render(folder: Path, sites: Sequence[Site], addresses: Sequence[str]) -> str:
    servers = []
    for site, address in zip(sites, addresses, strict=True):
        tls = ""
        if site.certificate:
            pem = folder / f"{address.rpartition(':')[2]}.pem"
            pem.write_bytes(site.certificate.pem)
            tls = _TLS.format(pem=pem)
        servers.append(_SERVER.format(address=address, tls=tls, locations=site.locations))
    return _CONFIGURATION.format(folder=folder, servers="".join(servers))


def _check(command: Sequence[str], environment: dict[str, str], files: Sequence[int]) -> None:
    """Raises NotStartedError with nginx's error message if it refuses its configuration."""
    test = [*command, "-t"]
    tested = run(test, check=False, env=environment, pass_fds=files, timeout=PATIENCE, capture_output=True, text=True)
    if tested.returncode:
        raise NotStartedError(f"nginx refuses its configuration:\n{tested.stderr}")
