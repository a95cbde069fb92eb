"""What the administrator of a server can do about a problem, in view of the whole report. Pure."""

from collections.abc import Mapping
from typing import Final

from exporter.judging.warnings import WarningName
from exporter.model import reasons
from exporter.model.enums import Stage
from exporter.model.outcomes import FILTER_STATUSES, Failed, UnexpectedResponse
from exporter.model.reasons import ON_WEB_SERVER, Reason
from exporter.model.report import LocatedProblem, Report

_HOMESERVER_DOWN: Final = (
    "The homeserver behind the reverse proxy is down or too slow: start it, check its log, and check the address of "
    "the upstream that the reverse proxy is configured with."
)
_ORIGIN_DOWN: Final = (
    "Cloudflare does not reach the web server behind it: start that, open its firewall to Cloudflare's addresses, and "
    "check the address and port in Cloudflare's DNS settings."
)
_ORIGIN_TLS: Final = (
    "Cloudflare gets no valid TLS session with the web server behind it: install a certificate there that Cloudflare "
    "accepts for this name (such as an origin certificate), or change Cloudflare's encryption mode to Full."
)
BY_STATUS: Final[Mapping[int, str]] = {
    421: "SNI or Host does not match any site of the web server: configure one virtual host for the name that peers "
    "send as both, with a certificate for it, and let the reverse proxy pass Host on.",
    **dict.fromkeys((502, 503, 504), _HOMESERVER_DOWN),
    **dict.fromkeys((*range(520, 525), 527, 530), _ORIGIN_DOWN),
    **dict.fromkeys((525, 526), _ORIGIN_TLS),
}
"""The remedies of statuses that say what is wrong, unless the response comes from a homeserver."""

_FILTERED: Final = (
    "A filter lets Synapse pass, but not every client: in the reverse proxy or the CDN, exempt /_matrix from the "
    "filter of user agents, as other homeservers send other ones."
)
STAGE_REMEDIES: Final[dict[tuple[Stage, Reason], str]] = {
    (Stage.WELL_KNOWN, Reason.HTTP_STATUS): ON_WEB_SERVER
    + "answer requests for /.well-known/matrix/server with status 200 and the delegation, or with 404 if there is "
    "none.",
    (Stage.WELL_KNOWN, Reason.NOT_JSON): ON_WEB_SERVER
    + "answer requests for /.well-known/matrix/server with JSON such as "
    '{"m.server": "matrix.example.org:443"}, or with 404 if there is no delegation. A page that is served for every '
    "path misleads peers.",
    (Stage.WELL_KNOWN, Reason.TOO_LARGE): ON_WEB_SERVER
    + "serve nothing but the delegation at /.well-known/matrix/server.",
    (Stage.TLS, Reason.TOO_LARGE): (
        "The certificates are far larger than usual: configure the reverse proxy or homeserver to send only its own "
        "certificate and the intermediate, and have it issued for fewer names."
    ),
    (Stage.WELL_KNOWN, Reason.HTTP_TIMEOUT): ON_WEB_SERVER
    + "serve /.well-known/matrix/server from a static file, so that it is answered at once.",
    (Stage.WELL_KNOWN, Reason.HTTP_PROTOCOL): ON_WEB_SERVER
    + "answer requests for /.well-known/matrix/server in valid HTTP/1.1, and check its error log.",
    (Stage.WELL_KNOWN, Reason.TLS_HANDSHAKE): ON_WEB_SERVER
    + "enable TLS 1.2 or 1.3 for this name, with its certificate, and check the error log.",
    (Stage.WELL_KNOWN, Reason.TLS_TIMEOUT): ON_WEB_SERVER
    + "check that it speaks TLS and is not overloaded, and that large packets get through (path MTU).",
    (Stage.WELL_KNOWN, Reason.NOT_TLS): ON_WEB_SERVER + "enable TLS (nginx: `listen 443 ssl`).",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NOT_YET_VALID): ON_WEB_SERVER
    + "configure a certificate that is valid today. Until then peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_UNTRUSTED): ON_WEB_SERVER
    + "configure a certificate from a public certificate authority (such as Let's Encrypt). Until then peers ignore "
    "the well-known. In a closed federation, add your authority to network.ca_file of the exporter.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INCOMPLETE_CHAIN): ON_WEB_SERVER
    + "send the intermediate certificate that issued the web server's own (certbot: fullchain.pem instead of "
    "cert.pem). Until then peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_INVALID): ON_WEB_SERVER
    + "configure a certificate without the fault named in the detail. Until then peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_NAME_MISMATCH): ON_WEB_SERVER
    + "configure a certificate for the server name. Until then peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CERTIFICATE_EXPIRED): ON_WEB_SERVER
    + "renew the certificate and reload the web server. Until then peers ignore the well-known.",
    (Stage.WELL_KNOWN, Reason.CONNECT_PROHIBITED): ON_WEB_SERVER
    + "open port 443 in the firewall, which rejects connections. If there is no well-known, let the port refuse them "
    "with a TCP reset instead.",
    (Stage.WELL_KNOWN, Reason.CONNECT_TIMEOUT): ON_WEB_SERVER
    + "open port 443 in the firewall. If there is no well-known, make the port refuse connections instead.",
    (Stage.WELL_KNOWN, Reason.TUNNEL_TIMEOUT): ON_WEB_SERVER
    + "open port 443 in the firewall. If there is no well-known, make the port refuse connections instead.",
    (Stage.WELL_KNOWN, Reason.UNREACHABLE): (
        "If it is the exporter's own machine that has no route, this says nothing about the server: give the machine "
        "IPv4 and IPv6. Otherwise check the address of the server name's own web server in DNS, its network and its "
        "firewall."
    ),
    (Stage.DNS, Reason.UNREACHABLE): (
        "This says nothing about the server: the exporter's machine lacks the only IP family that the name has "
        "addresses of. Give the machine IPv4 and IPv6, or watch this server from another one."
    ),
    (Stage.SRV, Reason.DNS_FAILURE): (
        "The DNS servers answer the SRV query with an error, which many homeservers treat as a failure of the whole "
        "lookup: make them answer NXDOMAIN or no data if there is no SRV record."
    ),
    (Stage.SRV, Reason.NXDOMAIN): (
        "The target of the SRV record does not exist: in your DNS zone, correct the target, or create an A or AAAA "
        "record for it."
    ),
    (Stage.SRV, Reason.NO_ADDRESSES): (
        "The target of the SRV record has no address: in your DNS zone, add an A or AAAA record for it, or correct "
        "the target."
    ),
    (Stage.KEYS, Reason.HTTP_STATUS): (
        "The reverse proxy does not forward /_matrix/key: configure it to forward that to the homeserver as well as "
        "/_matrix/federation. Without the keys peers cannot verify anything that this server sends."
    ),
    (Stage.KEYS, Reason.INVALID_CONTENT): (
        "The document of the keys is not what the specification requires, or not what every homeserver accepts: "
        "correct what is named above, in the homeserver's configuration or in the reverse proxy that changes its "
        "responses."
    ),
    (Stage.PROXY, Reason.HTTP_STATUS): (
        "The reverse proxy blocks PUT requests, by which messages, joins and invites arrive: configure it to forward "
        "PUT and POST as well as GET, for everything under /_matrix (nginx: no `limit_except`; Apache: no `<Limit>`)."
    ),
    (Stage.NOTARY, Reason.SIGNATURE_INVALID): (
        "Peers that query this notary reject what the server signs: restore the homeserver's signing key file if it "
        "was lost or replaced, never reuse a key ID for a new key, and check that the notary reaches the same server "
        "(DNS, firewall)."
    ),
}
"""The remedies of reasons that mean something else in one stage."""

FOLLOWS_FROM_WELL_KNOWN: Final = (
    "This follows from the broken well-known, without which peers try this address: repair the well-known first."
)
# The web server cannot be reached at all, which may have the same cause as the problem.
_NO_CONTACT: Final = reasons.RAN_OUT_OF_TIME | {Reason.DNS_FAILURE, Reason.UNREACHABLE, Reason.BLOCKED_ADDRESS}
_NOT_MEANT_FOR_PEERS: Final = frozenset({Reason.CERTIFICATE_NAME_MISMATCH, Reason.NOT_TLS})


def remedy(report: Report, located: LocatedProblem) -> str:
    """Return what to do about a problem of the report. There are three cases:

    - something other than a homeserver answers, and shows what it is;
    - the address is tried only because the well-known is broken;
    - otherwise, the reason says what to do.
    """
    if text := _of_response(report, located):
        return text
    if _follows_from_well_known(report, located):
        return FOLLOWS_FROM_WELL_KNOWN
    return of_stage(located.stage, located.problem.reason)


def of_stage(stage: Stage, reason: Reason) -> str:
    """Return what to do about a failed stage, if nothing else is known than the reason."""
    return STAGE_REMEDIES.get((stage, reason), reason.remedy)


def _of_response(report: Report, located: LocatedProblem) -> str | None:
    """Return what to do about who answered, if that is known. There are five cases:

    - a homeserver answers, or nothing does: None;
    - a filter answers the exporter, and lets homeservers pass;
    - something is known by name, and the status is that of a filter, or says nothing;
    - the status says what is wrong. At the well-known, that is not the homeserver;
    - nothing is known about who answers: None.
    """
    if not isinstance(located.problem, UnexpectedResponse) or located.problem.response.reached:
        return None
    response = located.problem.response
    if any(seen.filtered and seen.endpoint == located.endpoint for seen in report.endpoints):
        return _FILTERED
    by_status = BY_STATUS.get(response.status)
    if response.intermediary and (by_status is None or response.status in FILTER_STATUSES):
        return WarningName.INTERMEDIARY.remedy
    return None if by_status is _HOMESERVER_DOWN and located.stage is Stage.WELL_KNOWN else by_status


def _follows_from_well_known(report: Report, located: LocatedProblem) -> bool:
    """Whether nothing that is meant for peers is where they fall back to from a broken well-known."""
    broken = isinstance(report.well_known, Failed) and report.well_known.problems[0].reason not in _NO_CONTACT
    nothing_there = (
        located.stage in (Stage.DNS, Stage.TCP, Stage.TUNNEL) or located.problem.reason in _NOT_MEANT_FOR_PEERS
    )
    fallback = located.stage is not Stage.WELL_KNOWN and not any(seen.ok for seen in report.endpoints)
    return broken and nothing_there and fallback
