"""The DNS servers of the operating system, in /etc/resolv.conf. The file may change while the exporter runs.

Only `nameserver` lines and the option `use-vc` mean something to the exporter; docs/dns.md says why. As for the C
library (resolv.conf(5)), a line that is not valid is ignored, and if there is no server, it is the one on the local
machine.
"""

import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import structlog

from exporter.config import files
from exporter.config.addresses import DNS_PORT, HostPort
from exporter.model.sanitize import printable

_RESOLV_CONF = Path("/etc/resolv.conf")
_LOCAL = (HostPort("127.0.0.1", DNS_PORT),)
_MAX_SHOWN = 100  # characters of a line, in the log

log = structlog.get_logger()


class SystemResolvers:
    """Returns the servers at every call, and reads the file again whenever it has changed."""

    def __init__(self, path: Path = _RESOLV_CONF) -> None:
        self._path = path
        self._version: object = None
        self._servers: tuple[HostPort, ...] = _LOCAL
        self._tcp_only = False

    def __repr__(self) -> str:
        return f"<SystemResolvers: {', '.join(map(str, self._servers))}>"

    def __call__(self) -> tuple[HostPort, ...]:
        """Blocks on the disk for a moment: the file is small and in memory."""
        self._read_if_changed()
        return self._servers

    def tcp_only(self) -> bool:
        """Return whether the servers are to be queried over TCP alone: `options use-vc`, for "virtual circuit"."""
        self._read_if_changed()
        return self._tcp_only

    def _read_if_changed(self) -> None:
        version = _version(self._path)
        if version != self._version:
            self._version = version
            self._read()

    def _read(self) -> None:
        """Read the file. If it cannot be read, such as while it is being replaced, the servers stay as they are."""
        try:
            content = files.read_bytes(self._path)
        except files.UnreadableError as error:
            log.warning("resolv.conf not applied", file=str(self._path), complaint=str(error))
            return
        lines = content.decode(errors="replace").splitlines()
        self._servers = tuple(dict.fromkeys(_servers(lines))) or _LOCAL
        self._tcp_only = any("use-vc" in line.split() for line in lines if line.startswith(("options ", "options\t")))
        log.debug("resolv.conf applied", servers=", ".join(map(str, self._servers)))


def _version(path: Path) -> object:
    """Return what changes whenever the file does; None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - it is called for every lookup, and a Path is slower
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _servers(lines: Iterable[str]) -> list[HostPort]:
    found = []
    for line in lines:
        if not line.startswith(("nameserver ", "nameserver\t")):
            continue
        try:
            found.append(HostPort(str(ip_address(line.split()[1])), DNS_PORT))
        except (ValueError, IndexError):
            log.warning("line of resolv.conf ignored: expected an IP address", line=printable(line, _MAX_SHOWN))
    return found
