"""Hosts, ports, networks and URLs as administrators write them. Pure; every ValueError bears a remedy, or is empty."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from exporter.model import names
from exporter.model.addresses import Target, host_port
from exporter.model.names import ServerName

IPNetwork: TypeAlias = IPv4Network | IPv6Network
_DNS_PORT = 53
_SCHEME = re.compile("https?://", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*(token|api_?key|passw|secret|signature)[^=&;]*=", re.IGNORECASE)
_URL_CHARACTERS = re.compile("[!-~]+")


class SecretError(ValueError):
    """What is wrong with a value that is not to be shown."""


class HostPort(NamedTuple):
    """Where to connect or to listen. The host of an IPv6 address bears no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return host_port(self.host, self.port)


def _parse_host_port(text: str, default_port: int | None = None, lowest_port: int = 1) -> tuple[ServerName, int]:
    """A host and a port, which are written like server names."""
    name = names.parse(text)
    port = default_port if name.port is None else name.port
    if port is None:
        raise ValueError("add the port")
    if port < lowest_port:
        raise ValueError(f"the port must be at least {lowest_port}")
    return name, port


def parse_target(text: str) -> Target:
    name, port = _parse_host_port(text)
    return Target(name.host, port)


def parse_address(text: str, default_port: int | None = None) -> HostPort:
    if names.parse(text).ip is None:
        raise ValueError("write an IP address, for a name would have to be looked up first")
    name, port = _parse_host_port(text, default_port)
    return HostPort(str(name.ip), port)


def parse_resolver(text: str) -> HostPort:
    bare_ipv6 = text.count(":") > 1 and "[" not in text
    return parse_address(f"[{text}]" if bare_ipv6 else text, _DNS_PORT)


def canonical_destination(text: str) -> str:
    """In one canonical form: the host in lower case, an IPv6 address compressed and in brackets."""
    name, port = _parse_host_port(text)
    return host_port(str(name.ip) if name.ip else name.host.lower(), port)


def parse_listen_address(text: str) -> HostPort:
    """Port 0 is any free one."""
    if text.startswith(":") and text.count(":") == 1:
        raise ValueError(f"write 0.0.0.0{text} for every IPv4 address, or [::]{text} for every IPv6 address")
    name, port = _parse_host_port(text, lowest_port=0)
    return HostPort(name.host, port)


def parse_network(text: str) -> IPNetwork:
    if "%" in text:
        raise ValueError("leave the zone out")
    written, slash, _ = text.partition("/")
    try:
        address = ip_address(written)
        meant = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError from error
    if not slash:
        raise ValueError(f"write {meant} for this one address")
    if meant.network_address != address:
        raise ValueError(f"write {meant} for the network, or {ip_network(address)} for the one address")
    return meant


def parse_url(text: str) -> str:
    """As it was written. URLs are shown, so there must be no password in it."""
    scheme = _SCHEME.match(text)
    if "@" in re.split("[/?#]", text[scheme.end() :])[0] if scheme else "@" in text:
        raise SecretError("leave the user and the password out, and name a file with a token")
    if _SECRET_PARAMETER.search(text):
        raise SecretError("leave the secret out, and send it in a header, or name a file with a token")
    if not scheme:
        raise ValueError("it must begin with https:// or http://")
    if "#" in text:
        raise ValueError("leave out the # and what follows it, for that is never sent")
    if not _URL_CHARACTERS.fullmatch(text):
        raise ValueError("write all but ASCII characters, and spaces too, in their encoded form, as in %20")
    if not _has_host_and_port(text):
        raise ValueError("after the scheme comes a host, and perhaps a port from 1 to 65535")
    return text


def _has_host_and_port(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_base_url(text: str) -> str:
    """To be followed by a path that begins with a slash."""
    if "?" in text:
        raise ValueError("leave out what follows the question mark")
    if "/_synapse" in text:
        raise ValueError("leave out /_synapse and what follows it")
    return parse_url(text).rstrip("/")
