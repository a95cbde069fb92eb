"""The words that users write rules on: closed lists, in the order in which they are told."""

from enum import StrEnum
from typing import Final


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


class Reason(StrEnum):
    """Why a stage failed. A closed list: users write alerts and runbooks on it."""

    NXDOMAIN = "nxdomain"
    NO_ADDRESSES = "no_addresses"
    DNS_FAILURE = "dns_failure"
    DNS_TIMEOUT = "dns_timeout"
    SRV_TARGET_ALIAS = "srv_target_alias"
    SRV_SERVICE_UNAVAILABLE = "srv_service_unavailable"
    BLOCKED_ADDRESS = "blocked_address"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"
    TLS_HANDSHAKE = "tls_handshake"
    TLS_TIMEOUT = "tls_timeout"
    NOT_TLS = "not_tls"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_INCOMPLETE_CHAIN = "certificate_incomplete_chain"
    CERTIFICATE_INVALID = "certificate_invalid"
    HTTP_STATUS = "http_status"
    HTTP_TIMEOUT = "http_timeout"
    HTTP_PROTOCOL = "http_protocol"
    REDIRECT = "redirect"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID_CONTENT = "invalid_content"
    INVALID_DELEGATION = "invalid_delegation"
    SERVER_NAME_MISMATCH = "server_name_mismatch"
    NO_SIGNING_KEY = "no_signing_key"
    SIGNATURE_INVALID = "signature_invalid"
    KEY_EXPIRED = "key_expired"
    PATH_DECODED = "path_decoded"
    BODY_LIMIT = "body_limit"
    CATCH_ALL = "catch_all"
    TIMEOUT = "timeout"
    INTERNAL_ERROR = "internal_error"


RAN_OUT_OF_TIME: Final = frozenset(
    {Reason.DNS_TIMEOUT, Reason.CONNECT_TIMEOUT, Reason.TLS_TIMEOUT, Reason.HTTP_TIMEOUT, Reason.TIMEOUT}
)


class WarningName(StrEnum):
    """Works, but will hurt someone. A closed list, like the reasons."""

    DELEGATION_LOST = "delegation_lost"
    LEGACY_SRV_ONLY = "legacy_srv_only"
    SRV_AND_WELL_KNOWN_DISAGREE = "srv_and_well_known_disagree"
    WELL_KNOWN_SPLIT_BRAIN = "well_known_split_brain"
    WELL_KNOWN_LARGE = "well_known_large"
    WELL_KNOWN_NOT_200 = "well_known_not_200"
    WELL_KNOWN_CACHE_OUT_OF_BOUNDS = "well_known_cache_out_of_bounds"
    IPV4_BROKEN = "ipv4_broken"
    IPV6_BROKEN = "ipv6_broken"
    SOME_ENDPOINTS_BROKEN = "some_endpoints_broken"
    TLS_VERSION_OLD = "tls_version_old"
    KEY_VALIDITY_SHORT = "key_validity_short"
    KEYS_DIFFER = "keys_differ"
    KEYS_CONTENT_TYPE = "keys_content_type"
    OLD_KEY_INCONSISTENT = "old_key_inconsistent"
    HOST_WITH_PORT_DIFFERS = "host_with_port_differs"
    NOTARY_DISAGREES = "notary_disagrees"


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
