"""Why a stage failed, and what the administrator of the server can do about it."""

from typing import Final

from exporter.model.enums import Stage, WithRemedy

ON_WEB_SERVER: Final = "On the web server of the server name itself (https, port 443): "


class Reason(WithRemedy):
    """Why a stage failed. The list is closed: users write alerts and runbooks on it.

    The remedy holds in every stage that has no remedy of its own in STAGE_REMEDIES.
    """

    NXDOMAIN = (
        "nxdomain",
        (
            "Create an A or AAAA record for this name in your DNS zone, or correct the name in the well-known, "
            "the SRV record or the list of servers."
        ),
    )
    NO_ADDRESSES = (
        "no_addresses",
        "The name exists but has no address: add an A or AAAA record to your DNS zone.",
    )
    DNS_FAILURE = (
        "dns_failure",
        (
            "The DNS servers of the zone answer with an error: check that every name server of the domain "
            "serves it, and that DNSSEC signatures are valid."
        ),
    )
    DNS_TIMEOUT = (
        "dns_timeout",
        (
            "The DNS servers of the zone do not answer: check that each name server listed for the domain is up "
            "and reachable over UDP and TCP port 53."
        ),
    )
    SRV_TARGET_ALIAS = (
        "srv_target_alias",
        (
            "In your DNS zone, let the SRV record name a host that has A or AAAA records itself: an alias "
            "(CNAME) is forbidden there (RFC 2782)."
        ),
    )
    SRV_SERVICE_UNAVAILABLE = (
        "srv_service_unavailable",
        (
            "The SRV record's target is '.', which says that there is no such service: put your homeserver's "
            "name there, or delete the record from your DNS zone."
        ),
    )
    BLOCKED_ADDRESS = (
        "blocked_address",
        (
            "The name leads to a private or otherwise non-public address, which peers refuse, or to the port of "
            "another service: publish a public address in DNS, and use 8448, 443 or another free port. In a "
            "closed federation, allow it in network.allow_networks or network.allow_ports of the exporter."
        ),
    )
    CONNECT_REFUSED = (
        "connect_refused",
        (
            "Nothing accepts connections at this address and port: start the homeserver or its reverse proxy "
            "there, or correct the port in the well-known or SRV record."
        ),
    )
    CONNECT_TIMEOUT = (
        "connect_timeout",
        (
            "Connections get no answer: open the port in the firewall and at the hosting provider, and check "
            "that the address in DNS is the current one."
        ),
    )
    UNREACHABLE = (
        "unreachable",
        (
            "No route leads to this address: check the address in DNS, and the server's network and firewall. "
            "If every IPv6 address fails so, the exporter's own machine may lack IPv6."
        ),
    )
    TLS_HANDSHAKE = (
        "tls_handshake",
        (
            "The TLS handshake is broken off: check the TLS configuration of the reverse proxy for this name "
            "(certificate and key loaded, TLS 1.2 or 1.3 enabled, no client certificate required) and its error "
            "log."
        ),
    )
    TLS_TIMEOUT = (
        "tls_timeout",
        (
            "The port accepts connections but does not finish TLS: check that the reverse proxy or homeserver "
            "behind it speaks TLS and is not overloaded, and that large packets pass (path MTU)."
        ),
    )
    NOT_TLS = (
        "not_tls",
        (
            "The port does not speak TLS: enable TLS on the reverse proxy or homeserver (nginx: `listen 8448 "
            "ssl`), or point the well-known or SRV record to a port that does."
        ),
    )
    CERTIFICATE_EXPIRED = (
        "certificate_expired",
        (
            "Renew the certificate, and reload the reverse proxy or homeserver that presents it; check that "
            "automatic renewal (such as certbot or acme.sh) also reloads it."
        ),
    )
    CERTIFICATE_NOT_YET_VALID = (
        "certificate_not_yet_valid",
        (
            "The certificate's validity lies in the future: let the reverse proxy or homeserver present one "
            "that is valid today, and check the clocks of the machine that issued it and of the exporter."
        ),
    )
    CERTIFICATE_NAME_MISMATCH = (
        "certificate_name_mismatch",
        (
            "Let the reverse proxy or homeserver present a certificate whose subjectAltName holds the name "
            "given above: the delegated name with a well-known, the server name itself with SRV records, never "
            "the SRV target."
        ),
    )
    CERTIFICATE_UNTRUSTED = (
        "certificate_untrusted",
        (
            "Let the reverse proxy or homeserver present a certificate from a public certificate authority "
            "(such as Let's Encrypt), not a self-signed one. In a closed federation, put your authority into "
            "network.ca_file of the exporter."
        ),
    )
    CERTIFICATE_INCOMPLETE_CHAIN = (
        "certificate_incomplete_chain",
        (
            "Let the reverse proxy or homeserver send the intermediate certificate too: configure the full "
            "chain (certbot: fullchain.pem instead of cert.pem)."
        ),
    )
    CERTIFICATE_INVALID = (
        "certificate_invalid",
        (
            "Peers refuse this certificate for the fault named in the detail: have it issued again, and reload "
            "the reverse proxy or homeserver that presents it."
        ),
    )
    HTTP_STATUS = (
        "http_status",
        (
            "The homeserver or its reverse proxy answers with another status than 200: forward "
            "/_matrix/federation and /_matrix/key to the homeserver, and see its log."
        ),
    )
    HTTP_TIMEOUT = (
        "http_timeout",
        (
            "The request gets no complete answer in time: check the load of the homeserver and the upstream "
            "configured in the reverse proxy."
        ),
    )
    HTTP_PROTOCOL = (
        "http_protocol",
        (
            "The answer is no proper HTTP/1.1, or the connection was closed early: check that the port belongs "
            "to the homeserver or its reverse proxy, and see their logs."
        ),
    )
    REDIRECT = (
        "redirect",
        ON_WEB_SERVER
        + "answer /.well-known/matrix/server directly, or by a few redirects to https that end in an answer.",
    )
    TOO_LARGE = (
        "too_large",
        (
            "The answer is far larger than Matrix peers read: check what the reverse proxy or homeserver serves "
            "at this path."
        ),
    )
    NOT_JSON = (
        "not_json",
        "The answer is no JSON in UTF-8, often a web page: let the reverse proxy send this path to the homeserver.",
    )
    INVALID_CONTENT = (
        "invalid_content",
        (
            "The answer is JSON, but not what the specification asks for: let the reverse proxy send this path "
            "to the homeserver, and check which program answers there."
        ),
    )
    INVALID_DELEGATION = (
        "invalid_delegation",
        ON_WEB_SERVER
        + 'serve {"m.server": "matrix.example.org:443"}: a host name, optionally with a port, without https:// '
        "and without a path.",
    )
    SERVER_NAME_MISMATCH = (
        "server_name_mismatch",
        (
            "The keys belong to another server name: check server_name in the homeserver's configuration, and "
            "that the delegation and the virtual host lead to the right homeserver."
        ),
    )
    NO_SIGNING_KEY = (
        "no_signing_key",
        "The homeserver publishes no ed25519 key: check its signing key file.",
    )
    SIGNATURE_INVALID = (
        "signature_invalid",
        (
            "The published keys are not signed by themselves: check that no proxy changes the answer of "
            "/_matrix/key/v2/server, and that the homeserver loads the signing key that it publishes."
        ),
    )
    KEY_EXPIRED = (
        "key_expired",
        (
            "The keys' valid_until_ts has passed: check the homeserver's clock, and that no cache keeps old "
            "answers of /_matrix/key/v2/server."
        ),
    )
    PATH_DECODED = (
        "path_decoded",
        (
            "Let the reverse proxy pass the path on as it is (nginx: `proxy_pass http://127.0.0.1:8008;` with "
            "nothing after the port; Apache: `nocanon` and `AllowEncodedSlashes NoDecode`): otherwise joins "
            "fail with 401."
        ),
    )
    BODY_LIMIT = (
        "body_limit",
        (
            "Let the reverse proxy accept bodies as large as a transaction (nginx: `client_max_body_size 50M;`; "
            "Apache: LimitRequestBody): otherwise busy rooms stop arriving."
        ),
    )
    CATCH_ALL = (
        "catch_all",
        (
            "Let the reverse proxy send every path under /_matrix to the homeserver, and no page of its own: "
            "peers take such a page for an answer."
        ),
    )
    TIMEOUT = (
        "timeout",
        (
            "The whole probe took too long: see which stage is slow. If many servers fail so, raise "
            "probe.timeout or check the exporter's own network."
        ),
    )
    INTERNAL_ERROR = (
        "internal_error",
        "A fault of the exporter or its machine, not of this server: see the exporter's log, and report it.",
    )


STAGE_REMEDIES: Final[dict[tuple[Stage, Reason], str]] = {
    (Stage.WELL_KNOWN, Reason.HTTP_STATUS): ON_WEB_SERVER
    + "answer /.well-known/matrix/server with status 200 and the delegation, or with 404 if there is none.",
    (Stage.WELL_KNOWN, Reason.NOT_JSON): ON_WEB_SERVER
    + 'answer /.well-known/matrix/server with JSON such as {"m.server": "matrix.example.org:443"}, or with 404 '
    "if there is no delegation; a page for every path misleads peers.",
    (Stage.WELL_KNOWN, Reason.TOO_LARGE): ON_WEB_SERVER
    + "serve nothing but the delegation at /.well-known/matrix/server.",
    (
        Stage.TLS,
        Reason.TOO_LARGE,
    ): "The certificates are far larger than usual: let the reverse proxy or homeserver send its own and the "
    "intermediate, and nothing else, and name fewer hosts in it.",
    (Stage.WELL_KNOWN, Reason.HTTP_TIMEOUT): ON_WEB_SERVER
    + "answer /.well-known/matrix/server at once: a file is all that it takes.",
    (Stage.WELL_KNOWN, Reason.HTTP_PROTOCOL): ON_WEB_SERVER
    + "answer /.well-known/matrix/server in proper HTTP/1.1, and see its error log.",
    (Stage.WELL_KNOWN, Reason.TLS_HANDSHAKE): ON_WEB_SERVER
    + "enable TLS 1.2 or 1.3 for this name, with its certificate, and see its error log.",
    (Stage.WELL_KNOWN, Reason.TLS_TIMEOUT): ON_WEB_SERVER
    + "check that it speaks TLS and is not overloaded, and that large packets pass (path MTU).",
    (Stage.WELL_KNOWN, Reason.NOT_TLS): ON_WEB_SERVER + "enable TLS (nginx: `listen 443 ssl`).",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NOT_YET_VALID): ON_WEB_SERVER
    + "present a certificate that is valid today, or peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_UNTRUSTED): ON_WEB_SERVER
    + "present a certificate from a public certificate authority (such as Let's Encrypt), or peers ignore the "
    "well-known. In a closed federation, put your authority into network.ca_file of the exporter.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INCOMPLETE_CHAIN): ON_WEB_SERVER
    + "send the intermediate certificate too (certbot: fullchain.pem instead of cert.pem), or peers ignore the "
    "well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INVALID): ON_WEB_SERVER
    + "present a certificate without the fault named in the detail, or peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NAME_MISMATCH): ON_WEB_SERVER
    + "present a certificate for the server name, or peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_EXPIRED): ON_WEB_SERVER
    + "renew the certificate and reload the web server, or peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT): ON_WEB_SERVER
    + "open port 443 in the firewall, or let it refuse connections if there is no well-known.",
    (
        Stage.SRV,
        Reason.DNS_FAILURE,
    ): "The DNS servers answer the SRV query with an error, which many homeservers take for a failure of the "
    "whole lookup: let them answer NXDOMAIN or no data where there is no SRV record.",
    (
        Stage.SRV,
        Reason.NXDOMAIN,
    ): "The SRV record's target does not exist: in your DNS zone, correct the target, or create its A or AAAA record.",
    (
        Stage.SRV,
        Reason.NO_ADDRESSES,
    ): "The SRV record's target has no address: in your DNS zone, add its A or AAAA record, or correct the target.",
    (
        Stage.KEYS,
        Reason.HTTP_STATUS,
    ): "Forward /_matrix/key to the homeserver as well as /_matrix/federation: without its keys peers cannot "
    "verify anything that this server sends.",
    (
        Stage.PROXY,
        Reason.HTTP_STATUS,
    ): "Let the reverse proxy pass PUT and POST on as well as GET, for everything under /_matrix (nginx: no "
    "`limit_except`; Apache: no `<Limit>`): messages, joins and invites arrive by PUT, and none does now.",
    (
        Stage.NOTARY,
        Reason.SIGNATURE_INVALID,
    ): "Peers that ask this notary refuse what the server signs: restore the homeserver's signing key file if "
    "it was lost or replaced, never let a new key bear the id of an old one, and check that the notary's "
    "network reaches the same server (DNS, firewall).",
}
"""Where a reason means something else in one stage."""

RAN_OUT_OF_TIME: Final = frozenset(
    {Reason.DNS_TIMEOUT, Reason.CONNECT_TIMEOUT, Reason.TLS_TIMEOUT, Reason.HTTP_TIMEOUT, Reason.TIMEOUT}
)


def remedy(stage: Stage, reason: Reason) -> str:
    """Return what the administrator of the probed server can do about a failed stage."""
    return STAGE_REMEDIES.get((stage, reason), reason.remedy)
