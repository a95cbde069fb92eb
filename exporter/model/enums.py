"""The words that users write rules on: closed lists, in the order in which they are told."""

from enum import StrEnum
from typing import Self


class WithRemedy(StrEnum):
    """A closed list whose members carry a remedy: `MEMBER = ("word", "What to do.")`."""

    remedy: str
    """What the administrator of the probed server can do."""

    def __new__(cls, word: str, remedy: str = "") -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.remedy = remedy
        return member


class Stage(StrEnum):
    """One step of a probe, in order. From TCP on there is one for every endpoint."""

    WELL_KNOWN = "well_known"
    SRV = "srv"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    VERSION = "version"
    KEYS = "keys"
    PROXY = "proxy"
    """Of the deep look only: what a reverse proxy does to requests."""
    NOTARY = "notary"
    """Of the deep look only, once for every notary: whether it gives out the keys that the server publishes."""


class CertificateOf(StrEnum):
    """Which TLS connection a certificate belongs to: https to the server name, or an endpoint."""

    WELL_KNOWN = "well_known"
    FEDERATION = "federation"


class Method(StrEnum):
    """By which step of the specification a server name led to its targets (server-server API, 2.1)."""

    IP_LITERAL = "ip_literal"
    EXPLICIT_PORT = "explicit_port"
    WELL_KNOWN_IP = "well_known_ip"
    WELL_KNOWN_PORT = "well_known_port"
    WELL_KNOWN_SRV_FED = "well_known_srv_fed"
    WELL_KNOWN_SRV_LEGACY = "well_known_srv_legacy"
    WELL_KNOWN_8448 = "well_known_8448"
    SRV_FED = "srv_fed"
    SRV_LEGACY = "srv_legacy"
    DEFAULT_8448 = "default_8448"


class IPFamily(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class SrvService(StrEnum):
    """The SRV services of federation, in the order in which a peer asks for them."""

    MATRIX_FED = "matrix-fed"
    MATRIX = "matrix"
