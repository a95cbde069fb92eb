"""Why a stage failed, and what the administrator of the server can do about it."""

from typing import Final

from exporter.model.enums import WithRemedy

ON_WEB_SERVER: Final = "On the server name's own web server (https, port 443), "
"""How a remedy begins whose place is not the homeserver."""


class Reason(WithRemedy):
    """Why a stage failed. The list is closed: users write alerts and runbooks on it.

    The remedy holds in every stage that has no remedy of its own in `judging.remedies`.
    """

    NXDOMAIN = (
        "nxdomain",
        "This name does not exist in DNS: create an A or AAAA record for it, or correct the name in the well-known, "
        "the SRV record or the exporter's list of servers.",
    )
    NO_ADDRESSES = (
        "no_addresses",
        "The name exists but has no address: add an A or AAAA record to your DNS zone.",
    )
    DNS_FAILURE = (
        "dns_failure",
        "The zone's DNS servers answer with an error: check that every name server of the domain serves the zone, and "
        "that its DNSSEC signatures are valid.",
    )
    DNS_TIMEOUT = (
        "dns_timeout",
        "The zone's DNS servers do not answer: check that every name server listed for the domain is up, and "
        "reachable on port 53 over both UDP and TCP.",
    )
    SRV_TARGET_ALIAS = (
        "srv_target_alias",
        "The target of the SRV record is an alias (CNAME), which RFC 2782 forbids: in your DNS zone, change the "
        "target to a host name that has A or AAAA records itself.",
    )
    SRV_SERVICE_UNAVAILABLE = (
        "srv_service_unavailable",
        "The target of the SRV record is '.', which means that the service is not available: in your DNS zone, change "
        "the target to your homeserver's host name, or delete the record.",
    )
    SRV_PORT_ZERO = (
        "srv_port_zero",
        "The SRV record names port 0, where nothing can listen: in your DNS zone, change it to the port of your "
        "homeserver, such as 8448.",
    )
    BLOCKED_ADDRESS = (
        "blocked_address",
        "The name leads to a private or otherwise non-public address, which peers refuse, or to a port that belongs "
        "to another service: publish a public address in DNS, and use port 8448, 443 or another free one. If DNS has a "
        "public address, and the exporter's resolver answers with a private one (split-horizon DNS), name a public "
        "resolver in network.resolvers. In a closed federation, allow the address or the port in the exporter's "
        "configuration (network.allow_networks, network.allow_ports).",
    )
    CONNECT_REFUSED = (
        "connect_refused",
        "Nothing accepts connections at this address and port: start the homeserver or its reverse proxy there, or "
        "correct the port in the well-known or SRV record.",
    )
    CONNECT_TIMEOUT = (
        "connect_timeout",
        "Connection attempts get no answer: open the port in the firewall and at the hosting provider, and check that "
        "DNS has the server's current address.",
    )
    CONNECT_PROHIBITED = (
        "connect_prohibited",
        "A firewall in front of the homeserver rejects connections to this port: open the port there (firewalld: "
        "`firewall-cmd --permanent --add-port=8448/tcp` and `firewall-cmd --reload`) and at the hosting provider.",
    )
    UNREACHABLE = (
        "unreachable",
        "There is no route to this address: check the address in DNS, and the server's network and firewall.",
    )
    TUNNEL_FAILED = (
        "tunnel_failed",
        "The exporter's proxy cannot connect to this address and port: start the homeserver or its reverse proxy "
        "there, open the port in the firewall, or correct the port in the well-known or SRV record. If the server "
        "works for others, check what the proxy's own network lets through, such as IPv6 or port 8448.",
    )
    TUNNEL_TIMEOUT = (
        "tunnel_timeout",
        "The exporter's proxy gets no answer from this address and port: open the port in the firewall and at the "
        "hosting provider, and check that DNS has the server's current address. If the server works for others, check "
        "what the proxy's own network lets through.",
    )
    PROXY_UNREACHABLE = (
        "proxy_unreachable",
        "This says nothing about the server: the exporter cannot connect to its own proxy. Start the proxy, and check "
        "network.proxy in the exporter's configuration, and the firewall between them.",
    )
    PROXY_AUTHENTICATION = (
        "proxy_authentication",
        "This says nothing about the server: the exporter's own proxy demands a user and a password, or rejects those "
        "that it gets. Set network.proxy.credentials_file in the exporter's configuration, correct the file, and "
        "reload.",
    )
    PROXY_FORBIDDEN = (
        "proxy_forbidden",
        "This says nothing about the server: the exporter's own proxy refuses to connect there. Allow CONNECT to this "
        "address and port in the proxy; many allow port 443 only (Squid: `acl SSL_ports port 8448`; tinyproxy: "
        "`ConnectPort 8448`; Apache: `AllowCONNECT 443 8448`).",
    )
    PROXY_PROTOCOL = (
        "proxy_protocol",
        "This says nothing about the server: what the exporter takes for its proxy does not answer as an HTTP proxy. "
        "Check the host and the port of network.proxy in the exporter's configuration, and the proxy's log.",
    )
    TLS_HANDSHAKE = (
        "tls_handshake",
        "The TLS handshake fails: check the error log of the reverse proxy and its TLS configuration for this name "
        "(certificate and key loaded, TLS 1.3 or TLS 1.2 with ECDHE and AES-GCM enabled, no client certificate "
        "required).",
    )
    TLS_TIMEOUT = (
        "tls_timeout",
        "The port accepts connections but never finishes the TLS handshake: check that the reverse proxy or "
        "homeserver behind it speaks TLS and is not overloaded, and that large packets get through (path MTU).",
    )
    NOT_TLS = (
        "not_tls",
        "The port does not speak TLS: enable TLS on the reverse proxy or homeserver (nginx: `listen 8448 ssl`), or "
        "point the well-known or SRV record to a port that does.",
    )
    CERTIFICATE_EXPIRED = (
        "certificate_expired",
        "Renew the certificate, and reload the reverse proxy or homeserver that presents it. Check that automatic "
        "renewal (such as certbot or acme.sh) reloads it too.",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "certificate_not_yet_valid",
        "The certificate only becomes valid in the future: configure the reverse proxy or homeserver with one that is "
        "valid today, and check the clocks of the machine that issued it and of the exporter.",
    )
    CERTIFICATE_NAME_MISMATCH = (
        "certificate_name_mismatch",
        "The certificate is for another name: configure the reverse proxy or homeserver with one whose subjectAltName "
        "contains the expected name. With a well-known this is the delegated name, with SRV records the server name "
        "itself, and never the SRV target.",
    )
    CERTIFICATE_UNTRUSTED = (
        "certificate_untrusted",
        "Peers do not trust the issuer of this certificate: configure the reverse proxy or homeserver with one from a "
        "public certificate authority (such as Let's Encrypt), not a self-signed one. In a closed federation, add "
        "your authority to network.ca_file of the exporter.",
    )
    CERTIFICATE_INCOMPLETE_CHAIN = (
        "certificate_incomplete_chain",
        "The server does not send the intermediate certificate that issued its own: configure the full chain on the "
        "reverse proxy or homeserver (certbot: fullchain.pem instead of cert.pem), and replace it at every renewal.",
    )
    CERTIFICATE_INVALID = (
        "certificate_invalid",
        "Peers reject this certificate for the fault named in the detail: have it issued again, and reload the "
        "reverse proxy or homeserver that presents it.",
    )
    HTTP_STATUS = (
        "http_status",
        "The homeserver or its reverse proxy answers with a status other than 200: forward /_matrix/federation and "
        "/_matrix/key to the homeserver, and check its log.",
    )
    HTTP_TIMEOUT = (
        "http_timeout",
        "The request gets no complete response in time: check the load on the homeserver, and the upstream that the "
        "reverse proxy is configured with.",
    )
    HTTP_PROTOCOL = (
        "http_protocol",
        "The response is not valid HTTP/1.1, or the connection was closed too early: check that the port belongs to "
        "the homeserver or its reverse proxy, and check their logs.",
    )
    REDIRECT = (
        "redirect",
        ON_WEB_SERVER
        + "answer requests for /.well-known/matrix/server directly. Peers follow at most 10 to 20 redirects.",
    )
    TOO_LARGE = (
        "too_large",
        "The response is far larger than Matrix peers accept: check what the reverse proxy or homeserver serves at "
        "this path.",
    )
    NOT_JSON = (
        "not_json",
        "The response is not JSON in UTF-8; often it is a web page: configure the reverse proxy to forward this path "
        "to the homeserver.",
    )
    INVALID_CONTENT = (
        "invalid_content",
        "The response is JSON, but not what the specification requires: configure the reverse proxy to forward this "
        "path to the homeserver, and check which program answers there.",
    )
    INVALID_DELEGATION = (
        "invalid_delegation",
        ON_WEB_SERVER
        + 'serve {"m.server": "matrix.example.org:443"}: a host name with an optional port, without https:// and '
        "without a path.",
    )
    SERVER_NAME_MISMATCH = (
        "server_name_mismatch",
        "The keys belong to another server name: check server_name in the homeserver's configuration, and that the "
        "delegation and the virtual host lead to the right homeserver.",
    )
    NO_SIGNING_KEY = ("no_signing_key", "The homeserver publishes no ed25519 key: check its signing key file.")
    SIGNATURE_INVALID = (
        "signature_invalid",
        "The published keys have not signed the key document correctly: check that no proxy changes the response to "
        "/_matrix/key/v2/server, and that the homeserver loads the signing key that it publishes.",
    )
    KEY_EXPIRED = (
        "key_expired",
        "The keys' valid_until_ts has passed: check the homeserver's clock, and that no cache keeps old responses to "
        "/_matrix/key/v2/server.",
    )
    PATH_DECODED = (
        "path_decoded",
        "The reverse proxy decodes or refuses percent-encoded paths, so joins and messages fail: configure it to pass "
        "every path on unchanged (nginx: `proxy_pass http://127.0.0.1:8008;` with nothing after the port; Apache: "
        "`nocanon` and `AllowEncodedSlashes NoDecode`; Traefik: `allowEncodedSlash` and `allowEncodedHash`; Envoy: "
        "`path_with_escaped_slashes_action: KEEP_UNCHANGED`), and exempt /_matrix from a web application firewall.",
    )
    BODY_LIMIT = (
        "body_limit",
        "The reverse proxy refuses bodies as large as a transaction can be, so events from busy rooms stop arriving: "
        "raise its limit (nginx: `client_max_body_size 50M;`; Apache: LimitRequestBody).",
    )
    NOT_FORWARDED = (
        "not_forwarded",
        "The reverse proxy does not forward every federation request to the homeserver: configure it to forward every "
        "path under /_matrix, v1 and v2, and not only those of the version and the keys.",
    )
    CATCH_ALL = (
        "catch_all",
        "The reverse proxy answers unknown paths with a page of its own, which peers take for a successful response: "
        "configure it to forward every path under /_matrix to the homeserver.",
    )
    OUTBOUND_UNREACHABLE = (
        "outbound_unreachable",
        "The homeserver answers others but cannot reach them, so its users cannot join rooms elsewhere: on its machine "
        "or in its container, check the firewall for outgoing connections to ports 443 and 8448, the DNS resolver, "
        "IPv6 (disable it, or give the container a route), a proxy in its environment, and its trust in public "
        "certificate authorities.",
    )
    FEDERATION_DENIED = (
        "federation_denied",
        "The homeserver refuses the exporter's server name: add it to the allow-list (Synapse: "
        "federation_domain_whitelist), or stop watching this direction.",
    )
    SIGNATURE_REJECTED = (
        "signature_rejected",
        "Signed requests arrive changed, so joins and messages fail: configure the reverse proxy in front of the "
        "homeserver to pass the path, the query and the Host header on exactly as they are (nginx: `proxy_pass "
        "http://127.0.0.1:8008;` with nothing after the port).",
    )
    AUTHORIZATION_STRIPPED = (
        "authorization_stripped",
        "The Authorization header of signed requests gets lost on the way, so lookups, joins and messages fail: "
        "configure the reverse proxy to pass it on (nginx: no `proxy_set_header Authorization`; Apache: no "
        "authentication of its own under /_matrix).",
    )
    OUTBOUND_CLOCK = (
        "outbound_clock",
        "The homeserver fetches keys and finds them out of date, so its clock is ahead: set it, and keep it right with "
        "NTP (`timedatectl set-ntp true`).",
    )
    TIMEOUT = (
        "timeout",
        "The whole probe took too long: find out which stage is slow. If many servers fail like this, raise "
        "probe.timeout or check the exporter's own network.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        "This is a fault of the exporter or its machine, not of the server: if it lacks a resource, such as file "
        "descriptors, raise the limit (`ulimit -n`). Otherwise check the exporter's log, and report the fault.",
    )


REASONS_OF_TLS: Final = frozenset(
    {
        *(Reason.TLS_HANDSHAKE, Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NOT_YET_VALID),
        *(Reason.CERTIFICATE_NAME_MISMATCH, Reason.CERTIFICATE_UNTRUSTED, Reason.CERTIFICATE_INCOMPLETE_CHAIN),
        Reason.CERTIFICATE_INVALID,
    }
)
"""The reasons that are about TLS whenever they are found."""

REASONS_OF_PROXY: Final = (
    *(Reason.PROXY_UNREACHABLE, Reason.PROXY_AUTHENTICATION, Reason.PROXY_FORBIDDEN),
    Reason.PROXY_PROTOCOL,
)
"""The reasons for which the exporter's own proxy is at fault, and no server."""

RAN_OUT_OF_TIME: Final = frozenset(
    {
        *(Reason.DNS_TIMEOUT, Reason.CONNECT_TIMEOUT, Reason.TUNNEL_TIMEOUT, Reason.TLS_TIMEOUT, Reason.HTTP_TIMEOUT),
        Reason.TIMEOUT,
    }
)
"""The reasons that more time might have prevented."""
