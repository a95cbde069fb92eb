"""Hosts, ports, networks and URLs as administrators write them. Pure.

Every function raises ValueError for a text that it cannot parse. The message of the error is the remedy, or empty if
there is none better than the description of the value type.
"""

import re
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from exporter.model import names
from exporter.model.addresses import IPNetwork, Target, host_port
from exporter.model.names import ServerName

DNS_PORT = 53
ALL_ADDRESSES = ""
"""The host of a HostPort to listen on, if it is every address of both IP families."""
_UNIX = "unix:"
_MAX_SOCKET_PATH = 107  # bytes, see unix(7)
_SCHEME = re.compile("https?://", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*(token|api_?key|passw|secret|signature)[^=&;]*=", re.IGNORECASE)
_URL_CHARACTERS = re.compile("[!-~]+")


class SecretError(ValueError):
    """The value is wrong and may be a secret: a complaint must not show it."""


class HostPort(NamedTuple):
    """An address to connect to or to listen on. An IPv6 address has no brackets in `host`."""

    host: str
    port: int

    def __str__(self) -> str:
        return host_port(self.host, self.port)


class ProxyUrl(NamedTuple):
    """The URL of an HTTP proxy. An IPv6 address has no brackets in `host`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{host_port(self.host, self.port)}"


class UnixPath(NamedTuple):
    """A socket in the file system to listen on."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


ListenAddress: TypeAlias = HostPort | UnixPath


def _parse_host_port(text: str, default_port: int | None = None, lowest_port: int = 1) -> tuple[ServerName, int]:
    """Parse a host and a port, which have the syntax of a server name."""
    name = names.parse(text)
    port = default_port if name.port is None else name.port
    if port is None:
        raise ValueError("add a port")
    if port < lowest_port:
        raise ValueError(f"the port must be at least {lowest_port}")
    return name, port


def parse_target(text: str) -> Target:
    name, port = _parse_host_port(text)
    return Target(name.host, port)


def parse_address(text: str, default_port: int | None = None) -> HostPort:
    if names.parse(text).ip is None:
        raise ValueError("use an IP address, because a name would first have to be resolved")
    name, port = _parse_host_port(text, default_port)
    return HostPort(str(name.ip), port)


def parse_resolver(text: str) -> HostPort:
    bare_ipv6 = text.count(":") > 1 and "[" not in text
    return parse_address(f"[{text}]" if bare_ipv6 else text, DNS_PORT)


def parse_proxy_url(text: str) -> ProxyUrl:
    if "@" in text:
        raise SecretError("remove the user and the password, and use credentials_file instead")
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("it must start with http://")
    if scheme.lower() == "https":
        raise ValueError("the exporter speaks to the proxy without TLS only, so use http://")
    if scheme.lower() != "http":
        raise ValueError("only HTTP proxies are supported, so use http://")
    name, port = _parse_host_port(rest.removesuffix("/"))
    return ProxyUrl(str(name.ip) if name.ip else name.host, port)


def canonical_destination(text: str) -> str:
    """Return the canonical form of host:port: the host in lower case, an IPv6 address compressed and in brackets."""
    name, port = _parse_host_port(text)
    return host_port(str(name.ip) if name.ip else name.host.lower(), port)


def parse_listen_address(text: str) -> ListenAddress:
    """Parse host:port, :port for all addresses of both families, or unix:/path. Port 0 stands for any free port."""
    if text.startswith(_UNIX):
        return UnixPath(_parse_socket_path(text.removeprefix(_UNIX)))
    if text.startswith(":") and text.count(":") == 1:
        _, port = _parse_host_port(f"localhost{text}", lowest_port=0)
        return HostPort(ALL_ADDRESSES, port)
    name, port = _parse_host_port(text, lowest_port=0)
    return HostPort(name.host, port)


def _parse_socket_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"write the whole path, as in {_UNIX}/run/matrix-federation-exporter.sock")
    if len(path.encode()) > _MAX_SOCKET_PATH:
        raise ValueError(f"the path of a socket has at most {_MAX_SOCKET_PATH} bytes")
    return path


def parse_network(text: str) -> IPNetwork:
    if "%" in text:
        raise ValueError("remove the zone")
    written, slash, _ = text.partition("/")
    try:
        address = ip_address(written)
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError from error
    if not slash:
        raise ValueError(f"use {network} for this single address")
    if network.network_address != address:
        raise ValueError(f"use {network} for the network, or {ip_network(address)} for the single address")
    return network


def parse_address_or_network(text: str) -> IPNetwork:
    """Parse a network. A single address is short for the network that consists of it."""
    if "/" in text or "%" in text:
        return parse_network(text)
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError from error


def parse_url(text: str) -> str:
    """Return the URL unchanged. URLs are shown in the log and on /metrics, so they must not contain a secret."""
    scheme = _SCHEME.match(text)
    if "@" in re.split("[/?#]", text[scheme.end() :])[0] if scheme else "@" in text:
        raise SecretError("remove the user name and the password, and use token_file instead")
    if _SECRET_PARAMETER.search(text):
        raise SecretError("remove the secret, and use token_file or headers instead")
    if not scheme:
        raise ValueError("it must start with https:// or http://")
    if "#" in text:
        raise ValueError("remove the # and what follows it, because a fragment is never sent")
    if not _URL_CHARACTERS.fullmatch(text):
        raise ValueError("percent-encode spaces and characters that are not ASCII, as in %20")
    if not _has_host_and_port(text):
        raise ValueError("the scheme must be followed by a host and, optionally, a port from 1 to 65535")
    return text


def _has_host_and_port(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_base_url(text: str) -> str:
    """Return the URL without slashes at its end, so that a path can be appended."""
    if "?" in text:
        raise ValueError("remove the question mark and what follows it")
    if "/_synapse" in text:
        raise ValueError("remove /_synapse and what follows it")
    return parse_url(text).rstrip("/")
