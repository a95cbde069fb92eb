"""The grammar of server names (Matrix specification, appendices, "Server Name"). Pure."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from exporter.model.addresses import IPAddress
from exporter.model.sanitize import printable

_MAX_HOST_CHARACTERS = 255  # dns-name = 1*255dns-char
MAX_PORT = 65535  # the grammar admits five digits, TCP does not
_MAX_SHOWN = 50  # characters of a malformed address or port in a complaint

_SPLIT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_DNS_NAME = re.compile(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*", re.ASCII)

_FOREIGN: Final = {
    "://": "this is a URL: drop the scheme and the path",
    "/": "a server name has no path: drop it",
    "@": "this is a user ID: write only what follows the colon",
    " ": "a server name has no blanks: remove them",
}
"""What is wrong with a text that contains something; the first that applies."""


@dataclass(frozen=True, slots=True)
class ServerName:
    """A Matrix server name that follows the grammar. Use `names.parse` to make one."""

    text: str
    """The name as written: server names are compared exactly."""
    host: str
    """The host, without the brackets of an IPv6 address."""
    port: int | None
    ip: IPAddress | None
    """The address, if the host is an IP literal."""

    def __hash__(self) -> int:
        return hash(self.text)  # the other fields follow from it

    def __str__(self) -> str:
        return self.text


class InvalidServerNameError(ValueError):
    """The text is not a server name. The message says what is wrong with it."""


def parse(text: str) -> ServerName:
    """Parse a server name. Raises InvalidServerNameError.

    This is stricter than the bare grammar where real servers are: it allows no empty label, no port above 65535, and no
    dot at the end.
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
    """Return the address if `host` is one, with no brackets around IPv6, and None if it is a name.

    DNS labels may contain colons and `%`, so a text with a colon that is not an address, or has a zone, is a name.
    """
    try:
        return _ipv6(host) if ":" in host else _ipv4(host)
    except InvalidServerNameError:
        return None


def _ipv4(host: str) -> IPAddress | None:
    """Return the address, or None for a name.

    A dotted quad out of range, such as 256.1.1.1, is a DNS name to real servers.
    """
    if not host[-1:].isdecimal():  # as nearly always, and known without an exception
        return None
    try:
        return IPv4Address(host)
    except AddressValueError:
        return None


def _ipv6(text: str) -> IPAddress:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise InvalidServerNameError(f"[{printable(text, _MAX_SHOWN)}] is not an IPv6 address") from error
    if "%" in text:
        raise InvalidServerNameError("an IPv6 address in a server name must not have a zone")
    return address


def _complaint(text: str) -> str:
    """Return the most helpful complaint about a text that is not a server name."""
    if complaint := next((_FOREIGN[sign] for sign in _FOREIGN if sign in text), None):
        return complaint
    if not text.isascii():
        return "only ASCII is allowed: write an internationalised name in its xn-- form"
    if text.count(":") > 1 and "[" not in text:
        return "an IPv6 address needs brackets, as in [2001:db8::1]:8448"
    if ":" in text and "[" not in text:
        port = text.partition(":")[2]
        if not port.isdecimal():
            return f"the port {printable(port, _MAX_SHOWN)!r} is not a number" if port else "the port is empty"
        if len(port) > len(str(MAX_PORT)):
            return f"port {printable(port, _MAX_SHOWN)} is above {MAX_PORT}"
    if text.partition(":")[0].endswith("."):
        return "the host ends in a dot: remove the extra dot"
    if text.startswith(".") or ".." in text:
        return "a label of the name is empty: remove the extra dot"
    return "only letters, digits, '-' and '.' are allowed in a name"
