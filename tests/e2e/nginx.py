"""A real nginx, on ports of loopback that were free, without privileges, everything in one folder."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

from exporter.demo.authority import IssuedCertificate
from exporter.demo.listener import LOOPBACK
from tests.e2e.processes import NotStartedError, running, showing
from tests.programs import program
from tests.waiting import PATIENCE

# `user` counts for root alone, whose nginx would hand its worker to somebody who may not open the folder.
MAIN = """
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

TLS = "ssl; ssl_certificate {pem}; ssl_certificate_key {pem}"
SERVER = """
  server {{
    listen {address} {tls};
    {locations}
  }}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """`locations` is in nginx's own words. Without a certificate it speaks plain http."""

    certificate: IssuedCertificate | None
    locations: str


@contextmanager
def nginx(folder: Path, sites: Sequence[Site]) -> Iterator[list[str]]:
    """Where each of the sites is, as `127.0.0.1:port`.

    The ports are opened here and handed over, as from one nginx to the next when it is upgraded: none can be lost to
    somebody else, and none has to be waited for.
    """
    with ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in sites]
        addresses = [f"{LOOPBACK}:{port.getsockname()[1]}" for port in ports]
        files = [port.fileno() for port in ports]
        configuration = folder / "nginx.conf"
        configuration.write_text(rendered(folder, sites, addresses))
        command = [program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
        environment = os.environ | {"NGINX": "".join(f"{file};" for file in files)}
        check(command, environment, files)
        log = folder / "nginx.log"
        stack.enter_context(running(command, log, environment, files))
        stack.enter_context(showing(log))
        yield addresses


def rendered(folder: Path, sites: Sequence[Site], addresses: Sequence[str]) -> str:
    servers = []
    for site, address in zip(sites, addresses, strict=True):
        tls = ""
        if site.certificate:
            pem = folder / f"{address.rpartition(':')[2]}.pem"
            pem.write_bytes(site.certificate.pem)
            tls = TLS.format(pem=pem)
        servers.append(SERVER.format(address=address, tls=tls, locations=site.locations))
    return MAIN.format(folder=folder, servers="".join(servers))


def check(command: Sequence[str], environment: dict[str, str], files: Sequence[int]) -> None:
    """Raises NotStartedError with nginx's complaint about its configuration."""
    test = [*command, "-t"]
    tested = run(test, check=False, env=environment, pass_fds=files, timeout=PATIENCE, capture_output=True, text=True)
    if tested.returncode:
        raise NotStartedError(f"nginx refuses its configuration:\n{tested.stderr}")
