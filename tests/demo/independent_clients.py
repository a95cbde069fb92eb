"""Clients that share no code with the lab: the standard library's TLS and HTTP, over real sockets."""

import asyncio
import errno
import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

_BLACK_HOLE_SECONDS = 0.2  # a connection on loopback takes far less than a thousandth of that


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def strict_context(ca_file: Path) -> ssl.SSLContext:
    """Return a context as strict as OpenSSL can be, and as Python's default is from 3.13 on."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@dataclass(frozen=True)
class HttpReply:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One TLS connection, for use in a thread."""

    def __init__(self, address: str, name: str, ca_file: Path) -> None:
        self.tls = strict_context(ca_file).wrap_socket(
            socket.socket(), server_hostname=name, suppress_ragged_eofs=False
        )
        self.tls.settimeout(PATIENCE)
        try:
            self.tls.connect(host_and_port(address))  # this includes the handshake
        except BaseException:
            self.tls.close()
            raise
        self._http = http.client.HTTPConnection(name)
        self._http.sock = self.tls

    def get(self, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> HttpReply:
        self._http.request(method, target, body, headers={"Accept-Encoding": "identity", **headers})
        response = self._http.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return HttpReply(response.status, headers, response.read())

    def exchange(self, raw: bytes) -> bytes:
        """Send, and receive until the server closes the connection, which it must announce (close_notify)."""
        self.tls.sendall(raw)
        return b"".join(iter(lambda: self.tls.recv(65536), b""))

    def close(self) -> None:
        self.tls.close()


def _get(address: str, name: str, ca_file: Path, target: str, host: str | None = None, **kwargs: Any) -> HttpReply:
    client = Client(address, name, ca_file)
    try:
        return client.get(target, Host=host or name, **kwargs)
    finally:
        client.close()


async def get(address: str, name: str, ca_file: Path, target: str, host: str | None = None, **kwargs: Any) -> HttpReply:
    return await asyncio.to_thread(_get, address, name, ca_file, target, host, **kwargs)


def _connect(address: str, name: str, ca_file: Path) -> str:
    try:
        socket.create_connection(host_and_port(address), _BLACK_HOLE_SECONDS).close()
        Client(address, name, ca_file).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timed out"
    except ssl.SSLCertVerificationError as error:
        return f"verify error {error.verify_code}"
    except ssl.SSLError as error:
        return str(error.reason)
    except ConnectionResetError:
        return "reset"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "verified"


async def connect(address: str, name: str, ca_file: Path) -> str:
    """Return how a TLS handshake ends: "verified", OpenSSL's code of the verification error, or what went wrong."""
    return await asyncio.to_thread(_connect, address, name, ca_file)
