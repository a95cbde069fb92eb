"""What the administrator of a server can do about a problem, in view of the whole report. Pure."""

from collections.abc import Mapping
from typing import Final

from exporter.judging.warnings import WarningName
from exporter.model import reasons
from exporter.model.enums import Stage
from exporter.model.outcomes import FILTER_STATUSES, Failed, UnexpectedResponse
from exporter.model.reasons import Reason
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
    return reasons.remedy(located.stage, located.problem.reason)


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
    nothing_there = located.stage in (Stage.DNS, Stage.TCP) or located.problem.reason in _NOT_MEANT_FOR_PEERS
    fallback = located.stage is not Stage.WELL_KNOWN and not any(seen.ok for seen in report.endpoints)
    return broken and nothing_there and fallback
