"""The report as plain JSON values, for other programs. Pure.

The names of the fields are a contract; null is what was not seen, [] is that there is none. Times are UTC (RFC 3339),
durations are seconds.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeAlias

from exporter.judging import remedies, verdict
from exporter.judging.verdict import LocatedProblem, StageVerdict
from exporter.judging.warnings import ActiveWarning, warnings
from exporter.model.enums import SrvService, Stage
from exporter.model.findings import Certificate, Delegation, SigningKeys, Software, SrvRecord, SrvRecords
from exporter.model.outcomes import Outcome, Passed, Skipped, found
from exporter.model.report import DeepLook, EndpointReport, NotaryResult, Report
from exporter.reports.server_state import Result, ServerState

JsonObject: TypeAlias = dict[str, Any]
MICROSECONDS = 6  # digits behind the point


def server_state_json(state: ServerState) -> JsonObject:
    """The latest report in the light of those before it, and what is remembered of them; the newest first."""
    assert state.report is not None
    return {
        **report_json(state.report, state.well_known_last_seen),
        "exporter_offline": state.exporter_offline,
        "history": [result_json(earlier) for earlier in state.history],
        "last_failures": [result_json(earlier) for earlier in state.last_failures],
    }


def result_json(earlier: Result) -> JsonObject:
    return {
        "checked_at": rfc3339(earlier.ended_at),
        "duration_seconds": round(earlier.seconds, MICROSECONDS),
        "federation_ok": earlier.federates,
        "problems": [{"stage": stage, "reason": reason} for stage, reason in earlier.problems],
        "exporter_offline": earlier.exporter_offline,
    }


def report_json(report: Report, delegation_last_seen: datetime | None = None) -> JsonObject:
    """Ready for `json.dumps`. `delegation_last_seen` is when a valid well-known was last seen, if that is known."""
    return {
        "server_name": report.server_name.text,
        "checked_at": rfc3339(report.ended_at),
        "duration_seconds": round(report.seconds, MICROSECONDS),
        "federation_ok": verdict.federates(report),
        "delegation": delegation_json(report),
        "stages": stages_json(verdict.stages(report).items()),
        "problems": [problem_json(located) for located in verdict.problems(report)],
        "warnings": [warning_json(located) for located in warnings(report, delegation_last_seen)],
        "endpoints": [endpoint_json(seen) for seen in report.endpoints],
        "deep_look": deep_look_json(report.deep) if report.deep else None,
        "timings_unreliable": report.timings_unreliable,
    }


def delegation_json(report: Report) -> JsonObject:
    route = report.route
    return {
        "method": route.method,
        "targets": [str(target) for target in route.targets],
        "host_header": route.host_header,
        "tls_name": route.tls_name,
        "sni": route.sni,
        "well_known": well_known_json(report.well_known),
        "srv": srv_json(found(report.srv)),
    }


def well_known_json(outcome: Outcome[Delegation]) -> JsonObject | None:
    """None where the specification does not ask for it."""
    if isinstance(outcome, Skipped):
        return None
    answer = outcome.found
    if isinstance(outcome, Passed):
        kind, reason = ("valid" if outcome.found.server else "absent"), outcome.found.absent_because
    else:
        kind, reason = "failed", outcome.problems[0].reason
    return {
        "outcome": kind,
        "reason": reason,
        "m_server": answer.server.text if answer and answer.server else None,
        "cache_seconds": answer.cache_seconds if answer else None,
    }


def srv_json(seen: SrvRecords | None) -> JsonObject:
    """Every service, whether or not it was asked for."""
    records = seen.records if seen else {}
    return {service: [srv_record_json(record) for record in records.get(service, ())] for service in SrvService}


def srv_record_json(record: SrvRecord) -> JsonObject:
    return {
        "target": record.target.host,
        "port": record.target.port,
        "priority": record.priority,
        "weight": record.weight,
    }


def stages_json(verdicts: Iterable[tuple[Stage, StageVerdict]]) -> list[JsonObject]:
    return [
        {"stage": stage, "ok": seen.ok, "duration_seconds": round(seen.seconds, MICROSECONDS)}
        for stage, seen in verdicts
    ]


def problem_json(located: LocatedProblem) -> JsonObject:
    return {
        "stage": located.stage,
        "reason": located.problem.reason,
        "endpoint": located.endpoint.address if located.endpoint else None,
        "detail": located.problem.detail,
        "remedy": remedies.remedy(located.stage, located.problem.reason),
    }


def warning_json(located: ActiveWarning) -> JsonObject:
    return {
        "warning": located.warning,
        "detail": located.detail,
        "remedy": remedies.warning_remedy(located.warning),
    }


def endpoint_json(seen: EndpointReport) -> JsonObject:
    secured, keys = found(seen.tls), found(seen.keys)
    return {
        "address": seen.endpoint.address,
        "target": str(seen.endpoint.target),
        "ip_family": seen.endpoint.ip_family,
        "ok": seen.ok,
        "stages": stages_json(endpoint_stages(seen)),
        "certificate": certificate_json(secured.certificate) if secured else None,
        "tls_version": secured.tls_version if secured else None,
        "server": server_json(found(seen.version)),
        **signing_keys_json(keys),
        "host_with_port_differs": seen.deep.host_with_port_differs if seen.deep else None,
    }


def endpoint_stages(seen: EndpointReport) -> Iterator[tuple[Stage, StageVerdict]]:
    for stage, outcome in seen.outcomes():
        if not isinstance(outcome, Skipped):
            yield stage, StageVerdict(isinstance(outcome, Passed), outcome.seconds)


def certificate_json(seen: Certificate) -> JsonObject:
    return {
        "not_before": rfc3339(seen.not_before),
        "not_after": rfc3339(seen.not_after),
        "chain_not_after": rfc3339(seen.chain_not_after),
        "issuer": seen.issuer,
        "subject": seen.subject,
        "names": list(seen.names),
        "fingerprint_sha256": seen.fingerprint_sha256,
        "valid": seen.valid,
    }


def server_json(software: Software | None) -> JsonObject | None:
    return {"name": software.name, "version": software.version} if software else None


def signing_keys_json(published: SigningKeys | None) -> JsonObject:
    return {
        "keys": dict(published.keys) if published else None,
        "valid_until": rfc3339(published.valid_until) if published else None,
    }


def deep_look_json(seen: DeepLook) -> JsonObject:
    """What was found at each endpoint stands there. `srv` is null where it is that of the delegation."""
    return {
        "checked_at": rfc3339(seen.made_at),
        "well_known_by_address": dict(seen.well_knowns),
        "srv": srv_json(seen.srv) if seen.srv else None,
        "notaries": [notary_json(look) for look in seen.notaries],
    }


def notary_json(look: NotaryResult) -> JsonObject:
    """`ok` is null where it was inconclusive."""
    return {
        "server_name": look.notary.text,
        "ok": None if isinstance(look.outcome, Skipped) else isinstance(look.outcome, Passed),
        "inconclusive_because": look.inconclusive_because,
        **signing_keys_json(found(look.outcome)),
    }


def rfc3339(at: datetime) -> str:
    """RFC 3339, to the second; `at` is UTC."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
