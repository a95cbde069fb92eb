"""The grammar of server names (Matrix specification, appendices, "Server Name"). Pure."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from exporter.model.addresses import IPAddress
from exporter.model.sanitize import printable

_MAX_HOST_CHARACTERS = 255  # dns-name = 1*255dns-char
MAX_PORT = 65535  # the grammar admits five digits, TCP does not
_MAX_SHOWN = 50  # characters of what is no address or port, in a complaint

_SPLIT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_DNS_NAME = re.compile(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerName:
    """A Matrix server name that follows the grammar; `names.parse` makes them.

    `host` bears no brackets; `ip` is set where it is an IP literal.
    """

    text: str
    host: str
    port: int | None
    ip: IPAddress | None

    def __str__(self) -> str:
        return self.text


class InvalidServerNameError(ValueError):
    """Not a server name; the message says what is wrong with it."""


def parse(text: str) -> ServerName:
    """Raises InvalidServerNameError. Stricter than the bare grammar where real servers are: no empty label, no port
    above 65535, no dot at the end.
    """
    match = _SPLIT.fullmatch(text)
    if match is None:
        raise InvalidServerNameError(_complaint(text))
    host, port = match["host"], int(match["port"]) if match["port"] else None
    if port is not None and port > MAX_PORT:
        raise InvalidServerNameError(f"port {port} is above {MAX_PORT}")
    if host.startswith("["):
        address = _ipv6(host[1:-1])
        return ServerName(text, host[1:-1], port, address)
    if not host:
        raise InvalidServerNameError("the host is empty")
    if len(host) > _MAX_HOST_CHARACTERS:
        raise InvalidServerNameError(f"the host has {len(host)} characters, at most {_MAX_HOST_CHARACTERS} are allowed")
    if not _DNS_NAME.fullmatch(host):
        raise InvalidServerNameError(_complaint(text))
    return ServerName(text, host, port, _ipv4(host))


def ip_literal(host: str) -> IPAddress | None:
    """`host` as in `ServerName`: an IPv6 address bears no brackets. A label of DNS may hold colons and `%` too: what is
    no address, or bears a zone, is a name.
    """
    try:
        return _ipv6(host) if ":" in host else _ipv4(host)
    except InvalidServerNameError:
        return None


def _ipv4(host: str) -> IPAddress | None:
    """A dotted quad out of range, such as 256.1.1.1, is a DNS name, as real servers read it."""
    try:
        return IPv4Address(host)
    except AddressValueError:
        return None


def _ipv6(text: str) -> IPAddress:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise InvalidServerNameError(f"[{printable(text, _MAX_SHOWN)}] is no IPv6 address") from error
    if "%" in text:
        raise InvalidServerNameError("an IPv6 address in a server name bears no zone")
    return address


def _complaint(text: str) -> str:
    """The most helpful sentence for a text that is no server name."""
    if "://" in text:
        return "a server name is no URL: leave the scheme and the path away"
    if "/" in text:
        return "a server name bears no path"
    if "@" in text:
        return "this looks like a user id: the server name is what follows its colon"
    if not text.isascii():
        return "only ASCII is allowed: write an internationalised name in its xn-- form"
    if text.count(":") > 1 and "[" not in text:
        return "an IPv6 address stands in brackets, as in [2001:db8::1]:8448"
    if ":" in text and "[" not in text:
        port = text.partition(":")[2]
        if not port.isdecimal():
            return f"the port {printable(port, _MAX_SHOWN)!r} is no number" if port else "the port is empty"
        if len(port) > len(str(MAX_PORT)):
            return f"the port {printable(port, _MAX_SHOWN)} is above {MAX_PORT}"
    if text.endswith(".") or text.startswith(".") or ".." in text:
        return "a label of the name is empty: there is a dot too many"
    return "only letters, digits, '-' and '.' are allowed in a name"
