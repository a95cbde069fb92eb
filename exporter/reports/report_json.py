"""The report as plain JSON values, for other programs. Pure.

The names of the fields are part of the API. null means that something is unknown, and [] that there is none. Times are
UTC (RFC 3339), durations are seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeAlias

from exporter.history.results import Result
from exporter.judging import expectations, peers, remedies, verdict
from exporter.judging.peers.peer import PeerVerdict
from exporter.judging.verdict import StageVerdict
from exporter.judging.warnings import ActiveWarning, warnings
from exporter.model.enums import SrvService, Stage
from exporter.model.findings import (
    Certificate,
    ChainCertificate,
    Delegation,
    SigningKeys,
    Software,
    SrvRecord,
    SrvRecords,
    Support,
)
from exporter.model.outcomes import Failed, Outcome, Passed, Skipped, found
from exporter.model.report import DeepLook, EndpointReport, LocatedProblem, NotaryResult, OutboundLook, Report
from exporter.model.servers import WatchedServer
from exporter.reports.server_state import ServerState

JsonObject: TypeAlias = dict[str, Any]
_MICROSECONDS = 6  # decimal places


def server_state_json(state: ServerState) -> JsonObject:
    """Return the latest report with the history, the newest result first. `state` must have a report."""
    assert state.report is not None
    return {
        **report_json(state.report, state.well_known_last_seen),
        **group_json(state.watched, state.report),
        "exporter_offline": state.exporter_offline,
        "history": [_result_json(earlier) for earlier in state.history],
        "last_failures": [_result_json(earlier) for earlier in state.last_failures],
    }


def group_json(watched: WatchedServer, report: Report) -> JsonObject:
    """Return the group of a server, and whether the report is as that expects."""
    return {
        "group": watched.group,
        "labels": dict(watched.labels),
        "expectations": [asdict(each) for each in expectations.compare(watched.expected, report)],
    }


def _result_json(earlier: Result) -> JsonObject:
    return {
        "checked_at": _rfc3339(earlier.ended_at),
        "duration_seconds": round(earlier.seconds, _MICROSECONDS),
        "federation_ok": earlier.federates,
        "problems": [{"stage": stage, "reason": reason} for stage, reason in earlier.problems],
        "exporter_offline": earlier.exporter_offline,
    }


def report_json(report: Report, delegation_last_seen: datetime | None = None) -> JsonObject:
    """Return the report, ready for `json.dumps`.

    `delegation_last_seen` is when a valid well-known was last seen, if that is known.
    """
    resolution = found(report.dns)
    return {
        "server_name": report.server_name.text,
        "checked_at": _rfc3339(report.ended_at),
        "duration_seconds": round(report.seconds, _MICROSECONDS),
        "federation_ok": verdict.federates(report),
        "federation": verdict.federation(report),
        "peers": {name: _peer_json(report, of) for name, of in peers.verdicts(report).items()},
        "delegation": _delegation_json(report),
        "stages": _stages_json(verdict.stages(report).items()),
        "problems": [_problem_json(report, located) for located in verdict.problems(report)],
        "warnings": [_warning_json(located) for located in warnings(report, delegation_last_seen)],
        "endpoints": [_endpoint_json(seen) for seen in report.endpoints],
        "without_route": [endpoint.address for endpoint in resolution.without_route] if resolution else [],
        "deep_look": _deep_look_json(report.deep) if report.deep else None,
        "outbound": _outbound_json(report.outbound) if report.outbound else None,
        "timings_unreliable": report.timings_unreliable,
    }


def _delegation_json(report: Report) -> JsonObject:
    route = report.route
    return {
        "method": route.method,
        "targets": [str(target) for target in route.targets],
        "host_header": route.host_header,
        "tls_name": route.tls_name,
        "sni": route.sni,
        "well_known": _well_known_json(report.well_known),
        "srv": _srv_json(found(report.srv)),
    }


def _well_known_json(outcome: Outcome[Delegation]) -> JsonObject | None:
    """Return None if server discovery does not request it."""
    if isinstance(outcome, Skipped):
        return None
    delegation = outcome.found
    if isinstance(outcome, Passed):
        result, reason = ("valid" if outcome.found.server else "absent"), outcome.found.absent_because
    else:
        result, reason = "failed", outcome.problems[0].reason
    return {
        "outcome": result,
        "reason": reason,
        "m_server": delegation.server.text if delegation and delegation.server else None,
        "cache_seconds": delegation.cache_seconds if delegation else None,
    }


def _srv_json(seen: SrvRecords | None) -> JsonObject:
    """Return the records of every service, even if it was not looked up."""
    records = seen.records if seen else {}
    return {service: [_srv_record_json(record) for record in records.get(service, ())] for service in SrvService}


def _srv_record_json(record: SrvRecord) -> JsonObject:
    return {
        "target": record.target.host,
        "port": record.target.port,
        "priority": record.priority,
        "weight": record.weight,
    }


def _stages_json(verdicts: Iterable[tuple[Stage, StageVerdict]]) -> list[JsonObject]:
    return [
        {"stage": stage, "ok": seen.ok, "duration_seconds": round(seen.seconds, _MICROSECONDS)}
        for stage, seen in verdicts
    ]


def _peer_json(report: Report, of: PeerVerdict) -> JsonObject:
    return {"federates": of.federates, "problem": _problem_json(report, of.problem) if of.problem else None}


def _problem_json(report: Report, located: LocatedProblem) -> JsonObject:
    return {
        "stage": located.stage,
        "reason": located.problem.reason,
        "endpoint": located.endpoint.address if located.endpoint else None,
        "detail": located.problem.detail,
        "remedy": remedies.remedy(report, located),
    }


def _warning_json(located: ActiveWarning) -> JsonObject:
    return {
        "warning": located.warning,
        "detail": located.detail,
        "remedy": located.warning.remedy,
    }


def _endpoint_json(seen: EndpointReport) -> JsonObject:
    secured, keys = found(seen.tls), found(seen.keys)
    return {
        "address": seen.endpoint.address,
        "target": str(seen.endpoint.target),
        "ip_family": seen.endpoint.ip_family,
        "ok": seen.ok,
        "stages": _stages_json(_endpoint_stages(seen)),
        "certificate": _certificate_json(secured.certificate) if secured else None,
        "chain": [_chain_certificate_json(each) for each in secured.presented] if secured else None,
        "tls_version": secured.tls_version if secured else None,
        "cipher": secured.cipher if secured else None,
        "server": _server_json(found(seen.version)),
        **_signing_keys_json(keys),
        "behind_bad_certificate": _unverified_keys_json(seen.keys_behind_bad_certificate),
        "host_with_port_differs": seen.deep.host_with_port_differs if seen.deep else None,
    }


def _endpoint_stages(seen: EndpointReport) -> Iterator[tuple[Stage, StageVerdict]]:
    for stage, outcome in seen.outcomes():
        if not isinstance(outcome, Skipped):
            yield stage, StageVerdict(isinstance(outcome, Passed), outcome.seconds)


def _certificate_json(seen: Certificate) -> JsonObject:
    return {
        "not_before": _rfc3339(seen.not_before),
        "not_after": _rfc3339(seen.not_after),
        "chain_not_after": _rfc3339(seen.chain_not_after),
        "issuer": seen.issuer,
        "subject": seen.subject,
        "names": list(seen.names),
        "fingerprint_sha256": seen.fingerprint_sha256,
        "valid": seen.valid,
    }


def _chain_certificate_json(seen: ChainCertificate) -> JsonObject:
    return {"issuer": seen.issuer, "subject": seen.subject, "fingerprint_sha256": seen.fingerprint_sha256}


def _server_json(software: Software | None) -> JsonObject | None:
    return {"name": software.name, "version": software.version} if software else None


def _signing_keys_json(published: SigningKeys | None) -> JsonObject:
    return {
        "keys": dict(published.keys) if published else None,
        "valid_until": _rfc3339(published.valid_until) if published else None,
    }


def _unverified_keys_json(outcome: Outcome[SigningKeys]) -> JsonObject | None:
    """Return what a deep look got over a connection that does not verify."""
    if isinstance(outcome, Skipped):
        return None
    problems = outcome.problems if isinstance(outcome, Failed) else ()
    return {
        **_signing_keys_json(outcome.found),
        "problems": [{"reason": problem.reason, "detail": problem.detail} for problem in problems],
    }


def _deep_look_json(seen: DeepLook) -> JsonObject:
    """The results for each endpoint are part of that endpoint. `srv` is null if it is the same as in the delegation."""
    return {
        "checked_at": _rfc3339(seen.made_at),
        "well_known_by_address": dict(seen.well_knowns),
        "srv": _srv_json(seen.srv) if seen.srv else None,
        "notaries": [_notary_json(result) for result in seen.notaries],
        "support": _support_json(seen.support) if seen.support else None,
    }


def _outbound_json(seen: OutboundLook) -> JsonObject:
    """`ok` is null if the look was inconclusive."""
    came = found(seen.outcome)
    return {
        "checked_at": _rfc3339(seen.made_at),
        "ok": _ok(seen.outcome),
        "inconclusive_because": seen.inconclusive_because,
        "method": came.method if came else None,
        "ip_family": came.ip_family if came else None,
        "by_family": {family: _ok(outcome) for family, outcome in seen.by_family.items()},
    }


def _ok(outcome: Outcome[object]) -> bool | None:
    return None if isinstance(outcome, Skipped) else isinstance(outcome, Passed)


def _notary_json(result: NotaryResult) -> JsonObject:
    """`ok` is null if the check was inconclusive."""
    return {
        "server_name": result.notary.text,
        "ok": _ok(result.outcome),
        "inconclusive_because": result.inconclusive_because,
        **_signing_keys_json(found(result.outcome)),
    }


def _support_json(seen: Support) -> JsonObject:
    return {"contacts": [asdict(contact) for contact in seen.contacts], "support_page": seen.page}


def _rfc3339(at: datetime) -> str:
    """Return a UTC time in the format of RFC 3339, to the second."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
