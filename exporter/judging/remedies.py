"""What an administrator can do about every problem and every warning: what to change, and where."""

from typing import Final

from exporter.model.enums import Reason, Stage, WarningName


def remedy(stage: Stage, why: Reason) -> str:
    """What the administrator of the probed server can do."""
    return STAGE_REMEDIES.get((stage, why)) or REMEDIES[why]


def warning_remedy(warning: WarningName) -> str:
    """As `remedy`, for what still works."""
    return WARNING_REMEDIES[warning]


_WEB_SERVER_OF_THE_NAME: Final = "On the web server of the server name itself (https, port 443): "

REMEDIES: Final[dict[Reason, str]] = {
    Reason.NXDOMAIN: (
        "Create an A or AAAA record for this name in your DNS zone, or correct the name in the well-known, "
        "the SRV record or the list of servers."
    ),
    Reason.NO_ADDRESSES: "The name exists but has no address: add an A or AAAA record to your DNS zone.",
    Reason.DNS_FAILURE: (
        "The DNS servers of the zone answer with an error: check that every name server of the domain serves "
        "it, and that DNSSEC signatures are valid."
    ),
    Reason.DNS_TIMEOUT: (
        "The DNS servers of the zone do not answer: check that each name server listed for the domain is up "
        "and reachable over UDP and TCP port 53."
    ),
    Reason.SRV_TARGET_ALIAS: (
        "In your DNS zone, let the SRV record name a host that has A or AAAA records itself: an alias (CNAME) is "
        "forbidden there (RFC 2782)."
    ),
    Reason.SRV_SERVICE_UNAVAILABLE: (
        "The SRV record's target is '.', which says that there is no such service: put your homeserver's name "
        "there, or delete the record from your DNS zone."
    ),
    Reason.BLOCKED_ADDRESS: (
        "The name leads to a private or otherwise non-public address, which peers refuse, or to the port of another "
        "service: publish a public address in DNS, and use 8448, 443 or another free port. In a closed federation, "
        "allow it in network.allow_networks or network.allow_ports of the exporter."
    ),
    Reason.CONNECT_REFUSED: (
        "Nothing accepts connections at this address and port: start the homeserver or its reverse proxy "
        "there, or correct the port in the well-known or SRV record."
    ),
    Reason.CONNECT_TIMEOUT: (
        "Connections get no answer: open the port in the firewall and at the hosting provider, and check that "
        "the address in DNS is the current one."
    ),
    Reason.UNREACHABLE: (
        "No route leads to this address: check the address in DNS, and the server's network and firewall. If "
        "every IPv6 address fails so, the exporter's own machine may lack IPv6."
    ),
    Reason.TLS_HANDSHAKE: (
        "The TLS handshake is broken off: check the TLS configuration of the reverse proxy for this name "
        "(certificate and key loaded, TLS 1.2 or 1.3 enabled, no client certificate required) and its error "
        "log."
    ),
    Reason.TLS_TIMEOUT: (
        "The port accepts connections but does not finish TLS: check that the reverse proxy or homeserver behind it "
        "speaks TLS and is not overloaded, and that large packets pass (path MTU)."
    ),
    Reason.NOT_TLS: (
        "The port does not speak TLS: enable TLS on the reverse proxy or homeserver (nginx: `listen 8448 ssl`), or "
        "point the well-known or SRV record to a port that does."
    ),
    Reason.CERTIFICATE_EXPIRED: (
        "Renew the certificate, and reload the reverse proxy or homeserver that presents it; check that automatic "
        "renewal (such as certbot or acme.sh) also reloads it."
    ),
    Reason.CERTIFICATE_NOT_YET_VALID: (
        "The certificate's validity lies in the future: let the reverse proxy or homeserver present one that is "
        "valid today, and check the clocks of the machine that issued it and of the exporter."
    ),
    Reason.CERTIFICATE_NAME_MISMATCH: (
        "Let the reverse proxy or homeserver present a certificate whose subjectAltName holds the name given above: "
        "the delegated name with a well-known, the server name itself with SRV records, never the SRV target."
    ),
    Reason.CERTIFICATE_UNTRUSTED: (
        "Let the reverse proxy or homeserver present a certificate from a public certificate authority (such as "
        "Let's Encrypt), not a self-signed one. In a closed federation, put your authority into network.ca_file of "
        "the exporter."
    ),
    Reason.CERTIFICATE_INCOMPLETE_CHAIN: (
        "Let the reverse proxy or homeserver send the intermediate certificate too: configure the full chain (certbot: "
        "fullchain.pem instead of cert.pem)."
    ),
    Reason.CERTIFICATE_INVALID: (
        "Peers refuse this certificate for the fault named in the detail: have it issued again, and reload the "
        "reverse proxy or homeserver that presents it."
    ),
    Reason.HTTP_STATUS: (
        "The homeserver or its reverse proxy answers with another status than 200: forward "
        "/_matrix/federation and /_matrix/key to the homeserver, and see its log."
    ),
    Reason.HTTP_TIMEOUT: (
        "The request gets no complete answer in time: check the load of the homeserver and the upstream "
        "configured in the reverse proxy."
    ),
    Reason.HTTP_PROTOCOL: (
        "The answer is no proper HTTP/1.1, or the connection was closed early: check that the port belongs to "
        "the homeserver or its reverse proxy, and see their logs."
    ),
    Reason.REDIRECT: (
        _WEB_SERVER_OF_THE_NAME
        + "answer /.well-known/matrix/server directly, or by a few redirects to https that end in an answer."
    ),
    Reason.TOO_LARGE: (
        "The answer is far larger than Matrix peers read: check what the reverse proxy or homeserver serves at this "
        "path."
    ),
    Reason.NOT_JSON: (
        "The answer is no JSON in UTF-8, often a web page: let the reverse proxy send this path to the homeserver."
    ),
    Reason.INVALID_CONTENT: (
        "The answer is JSON, but not what the specification asks for: let the reverse proxy send this path to the "
        "homeserver, and check which program answers there."
    ),
    Reason.INVALID_DELEGATION: (
        _WEB_SERVER_OF_THE_NAME
        + 'serve {"m.server": "matrix.example.org:443"}: a host name, optionally with a port, without https:// and '
        "without a path."
    ),
    Reason.SERVER_NAME_MISMATCH: (
        "The keys belong to another server name: check server_name in the homeserver's configuration, and "
        "that the delegation and the virtual host lead to the right homeserver."
    ),
    Reason.NO_SIGNING_KEY: "The homeserver publishes no ed25519 key: check its signing key file.",
    Reason.SIGNATURE_INVALID: (
        "The published keys are not signed by themselves: check that no proxy changes the answer of "
        "/_matrix/key/v2/server, and that the homeserver loads the signing key that it publishes."
    ),
    Reason.KEY_EXPIRED: (
        "The keys' valid_until_ts has passed: check the homeserver's clock, and that no cache keeps old "
        "answers of /_matrix/key/v2/server."
    ),
    Reason.PATH_DECODED: (
        "Let the reverse proxy pass the path on as it is (nginx: `proxy_pass http://127.0.0.1:8008;` with nothing "
        "after the port; Apache: `nocanon` and `AllowEncodedSlashes NoDecode`): otherwise joins fail with 401."
    ),
    Reason.BODY_LIMIT: (
        "Let the reverse proxy accept bodies as large as a transaction (nginx: `client_max_body_size 50M;`; Apache: "
        "LimitRequestBody): otherwise busy rooms stop arriving."
    ),
    Reason.CATCH_ALL: (
        "Let the reverse proxy send every path under /_matrix to the homeserver, and no page of its own: "
        "peers take such a page for an answer."
    ),
    Reason.TIMEOUT: (
        "The whole probe took too long: see which stage is slow. If many servers fail so, raise probe.timeout "
        "or check the exporter's own network."
    ),
    Reason.INTERNAL_ERROR: (
        "A fault of the exporter or its machine, not of this server: see the exporter's log, and report it."
    ),
}

STAGE_REMEDIES: Final[dict[tuple[Stage, Reason], str]] = {
    (Stage.WELL_KNOWN, Reason.HTTP_STATUS): (
        _WEB_SERVER_OF_THE_NAME
        + "answer /.well-known/matrix/server with status 200 and the delegation, or with 404 if there is none."
    ),
    (Stage.WELL_KNOWN, Reason.NOT_JSON): (
        _WEB_SERVER_OF_THE_NAME
        + 'answer /.well-known/matrix/server with JSON such as {"m.server": "matrix.example.org:443"}, or with '
        "404 if there is no delegation; a page for every path misleads peers."
    ),
    (Stage.WELL_KNOWN, Reason.TOO_LARGE): (
        _WEB_SERVER_OF_THE_NAME + "serve nothing but the delegation at /.well-known/matrix/server."
    ),
    (Stage.TLS, Reason.TOO_LARGE): (
        "The certificates are far larger than usual: let the reverse proxy or homeserver send its own and the "
        "intermediate, and nothing else, and name fewer hosts in it."
    ),
    (Stage.WELL_KNOWN, Reason.HTTP_TIMEOUT): (
        _WEB_SERVER_OF_THE_NAME + "answer /.well-known/matrix/server at once: a file is all that it takes."
    ),
    (Stage.WELL_KNOWN, Reason.HTTP_PROTOCOL): (
        _WEB_SERVER_OF_THE_NAME + "answer /.well-known/matrix/server in proper HTTP/1.1, and see its error log."
    ),
    (Stage.WELL_KNOWN, Reason.TLS_HANDSHAKE): (
        _WEB_SERVER_OF_THE_NAME + "enable TLS 1.2 or 1.3 for this name, with its certificate, and see its error log."
    ),
    (Stage.WELL_KNOWN, Reason.TLS_TIMEOUT): (
        _WEB_SERVER_OF_THE_NAME
        + "check that it speaks TLS and is not overloaded, and that large packets pass (path MTU)."
    ),
    (Stage.WELL_KNOWN, Reason.NOT_TLS): _WEB_SERVER_OF_THE_NAME + "enable TLS (nginx: `listen 443 ssl`).",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NOT_YET_VALID): (
        _WEB_SERVER_OF_THE_NAME + "present a certificate that is valid today, or peers ignore the well-known."
    ),
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_UNTRUSTED): (
        _WEB_SERVER_OF_THE_NAME
        + "present a certificate from a public certificate authority (such as Let's Encrypt), or peers ignore the "
        "well-known. In a closed federation, put your authority into network.ca_file of the exporter."
    ),
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INCOMPLETE_CHAIN): (
        _WEB_SERVER_OF_THE_NAME
        + "send the intermediate certificate too (certbot: fullchain.pem instead of cert.pem), or peers ignore the "
        "well-known."
    ),
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INVALID): (
        _WEB_SERVER_OF_THE_NAME
        + "present a certificate without the fault named in the detail, or peers ignore the well-known."
    ),
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NAME_MISMATCH): (
        _WEB_SERVER_OF_THE_NAME + "present a certificate for the server name, or peers ignore the well-known."
    ),
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_EXPIRED): (
        _WEB_SERVER_OF_THE_NAME + "renew the certificate and reload the web server, or peers ignore the well-known."
    ),
    (Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT): (
        _WEB_SERVER_OF_THE_NAME
        + "open port 443 in the firewall, or let it refuse connections if there is no well-known."
    ),
    (Stage.SRV, Reason.DNS_FAILURE): (
        "The DNS servers answer the SRV query with an error, which many homeservers take for a failure of the "
        "whole lookup: let them answer NXDOMAIN or no data where there is no SRV record."
    ),
    (Stage.SRV, Reason.NXDOMAIN): (
        "The SRV record's target does not exist: in your DNS zone, correct the target, or create its A or AAAA record."
    ),
    (Stage.SRV, Reason.NO_ADDRESSES): (
        "The SRV record's target has no address: in your DNS zone, add its A or AAAA record, or correct the target."
    ),
    (Stage.KEYS, Reason.HTTP_STATUS): (
        "Forward /_matrix/key to the homeserver as well as /_matrix/federation: without its keys peers cannot "
        "verify anything that this server sends."
    ),
    (Stage.PROXY, Reason.HTTP_STATUS): (
        "Let the reverse proxy pass PUT and POST on as well as GET, for everything under /_matrix (nginx: no "
        "`limit_except`; Apache: no `<Limit>`): messages, joins and invites arrive by PUT, and none does now."
    ),
    (Stage.NOTARY, Reason.SIGNATURE_INVALID): (
        "Peers that ask this notary refuse what the server signs: restore the homeserver's signing key file if it was "
        "lost or replaced, never let a new key bear the id of an old one, and check that the notary's network reaches "
        "the same server (DNS, firewall)."
    ),
}

WARNING_REMEDIES: Final[dict[WarningName, str]] = {
    WarningName.DELEGATION_LOST: (
        _WEB_SERVER_OF_THE_NAME + "serve /.well-known/matrix/server again. Peers "
        "that remember it still work, and stop one by one; the port that the fallback tries is not to blame."
    ),
    WarningName.LEGACY_SRV_ONLY: (
        "In your DNS zone, publish the same SRV records under _matrix-fed._tcp, and keep those under _matrix._tcp for "
        "peers older than version 1.8 of the specification."
    ),
    WarningName.SRV_AND_WELL_KNOWN_DISAGREE: (
        "Let the SRV records in your DNS zone name the same target as the well-known, or delete them: peers that "
        "cannot read the well-known follow them."
    ),
    WarningName.WELL_KNOWN_SPLIT_BRAIN: (
        "Serve the same /.well-known/matrix/server at every address of the server name: find the web server that "
        "differs, or take its A or AAAA record out of DNS."
    ),
    WarningName.WELL_KNOWN_LARGE: (
        "On the web server of the server name: serve nothing but the delegation at /.well-known/matrix/server, as "
        "some homeservers refuse long answers."
    ),
    WarningName.WELL_KNOWN_NOT_200: (
        "On the web server of the server name: answer /.well-known/matrix/server with status 200."
    ),
    WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS: (
        "On the web server of the server name: expect_continue between 5 minutes and 48 hours for "
        "/.well-known/matrix/server (Cache-Control: max-age=86400), as peers keep it no longer and no shorter."
    ),
    WarningName.IPV4_BROKEN: (
        "Peers that have IPv4 only cannot reach this server: repair the IPv4 endpoints, or take their A records out "
        "of DNS until they work."
    ),
    WarningName.IPV6_BROKEN: (
        "Peers that try IPv6 first are slow or fail: repair the IPv6 endpoints, or take their AAAA records out of "
        "DNS until they work."
    ),
    WarningName.SOME_ENDPOINTS_BROKEN: (
        "Peers that choose a broken endpoint fail or are slow: repair it, or take its address or SRV record out of DNS."
    ),
    WarningName.TLS_VERSION_OLD: (
        "Allow TLS 1.2 and 1.3 on the homeserver or its reverse proxy: many peers refuse anything older."
    ),
    WarningName.KEY_VALIDITY_SHORT: (
        "Let the homeserver publish its keys with a valid_until_ts of an hour or more ahead (Synapse: "
        "key_refresh_interval), or peers fetch them again and again; check its clock too."
    ),
    WarningName.KEYS_DIFFER: (
        "Every endpoint must be the same homeserver with the same signing key file: find the one that is not, "
        "such as an old machine that is still in DNS."
    ),
    WarningName.KEYS_CONTENT_TYPE: (
        "Let /_matrix/key/v2/server be answered with Content-Type: application/json: check that the reverse proxy "
        "does not change the homeserver's header."
    ),
    WarningName.OLD_KEY_INCONSISTENT: (
        "Correct the old keys in the homeserver's configuration (Synapse: old_signing_keys): each needs its key and "
        "when it expired, in the past, and must not be in use any more."
    ),
    WarningName.HOST_WITH_PORT_DIFFERS: (
        "Let the reverse proxy choose the same virtual host whether or not Host bears the port: some homeservers "
        "always send it."
    ),
    WarningName.NOTARY_DISAGREES: (
        "Another server got other keys under this name: restore the homeserver's signing key file if it was lost or "
        "replaced, let every machine in DNS use the same one, and check that the notary's network reaches this server."
    ),
}
