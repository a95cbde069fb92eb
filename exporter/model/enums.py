"""Closed lists of the words that users write alerting rules on, in the order in which they are reported."""

from enum import StrEnum
from typing import Self


class WithRemedy(StrEnum):
    """A closed list whose members have a remedy: `MEMBER = ("word", "What to do.")`."""

    remedy: str
    """What the administrator of the probed server can do."""

    def __new__(cls, word: str, remedy: str = "") -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.remedy = remedy
        return member


class Stage(StrEnum):
    """One step of a probe, in order. From TCP on, every endpoint has its own."""

    WELL_KNOWN = "well_known"
    SRV = "srv"
    DNS = "dns"
    TCP = "tcp"
    TUNNEL = "tunnel"
    """In place of TCP, if the exporter connects through a proxy: whether that reaches the endpoint."""
    TLS = "tls"
    VERSION = "version"
    KEYS = "keys"
    PROXY = "proxy"
    """Only in a deep look: what a reverse proxy does to requests."""
    NOTARY = "notary"
    """Only in a deep look, once for every notary: whether it returns the keys that the server publishes."""
    OUTBOUND = "outbound"
    """Only if configured, and more rarely than a probe: whether the server reaches the exporter's own listener."""


class OutboundMethod(StrEnum):
    """How a server is made to connect to the exporter, the best way first."""

    ALIAS = "alias"
    """Its client API is asked for a room alias of the exporter's name."""
    NOTARY = "notary"
    """It is asked, as a notary, for the exporter's keys."""
    SIGNED = "signed"
    """It gets a request that the exporter signed, and needs the exporter's keys to verify it."""


class Implementation(StrEnum):
    """The homeservers whose behaviour is known, and judged."""

    SYNAPSE = "synapse"
    DENDRITE = "dendrite"
    CONDUIT = "conduit"


class Oddity(StrEnum):
    """What some homeservers refuse in an HTTP response or a document, and others accept."""

    GZIPPED = "gzipped"
    """Compressed, although the request did not accept that."""
    NOT_GZIPPED = "not_gzipped"
    """Content-Encoding says that it is compressed, and it is not."""
    BYTE_ORDER_MARK = "byte_order_mark"
    TRAILING_DATA = "trailing_data"
    """Something follows the JSON."""
    REPEATED_KEY = "repeated_key"
    """A key stands twice, and the last one counts."""
    CONTENT_TYPE = "content_type"
    """Not application/json."""
    REDIRECTED = "redirected"
    """To another path of the same host."""
    OLD_KEYS_NOT_AN_OBJECT = "old_keys_not_an_object"
    OLD_KEYS_NULL = "old_keys_null"
    OLD_KEY_NOT_BASE64 = "old_key_not_base64"
    OLD_KEY_WITHOUT_EXPIRY = "old_key_without_expiry"
    KEY_MALFORMED = "key_malformed"
    """One of several verify keys has an ed25519 key ID, and is not 32 bytes in base64."""
    FIRST_SIGNATURE_WRONG = "first_signature_wrong"
    """The first of several signatures by its verify keys."""
    KEY_DID_NOT_SIGN = "key_did_not_sign"
    """One of several verify keys."""
    NOT_AN_INTEGER = "not_an_integer"
    """A number has a fraction or an exponent."""
    PADDED_BASE64 = "padded_base64"


class Means(StrEnum):
    """How a second look at an endpoint gets further than the first one."""

    HOMESERVER_AGENT = "homeserver_agent"
    """With the User-Agent of a homeserver."""
    FINITE_FIELD = "finite_field"
    """With finite-field Diffie-Hellman."""
    UNVERIFIED = "unverified"
    """Over a connection whose certificate did not verify."""


class CertificateOf(StrEnum):
    """Which TLS connection a certificate belongs to: https to the server name, or the one to an endpoint."""

    WELL_KNOWN = "well_known"
    FEDERATION = "federation"


class Method(StrEnum):
    """The step of the specification by which a server name led to its targets (server-server API, 2.1)."""

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


class Resource(StrEnum):
    """What the exporter may lack, so that a probe says nothing about the server."""

    FILE_DESCRIPTORS = "file_descriptors"
    MEMORY = "memory"
    LOCAL_PORTS = "local_ports"
    CONNECTIONS = "connections"
    """To one address, in a second."""
    CPU_TIME = "cpu_time"


class IPFamily(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def written(self) -> str:
        """As people write it, such as IPv4."""
        return f"IP{self.removeprefix('ip')}"


class SrvService(StrEnum):
    """The SRV services of federation, in the order in which a peer queries them."""

    MATRIX_FED = "matrix-fed"
    MATRIX = "matrix"
