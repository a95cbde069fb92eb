"""The report in the JSON format of the public federation tester (matrix-org/matrix-federation-tester). Pure.

Every field is the same, including whether it is null or missing, so that programs can read either. `docs/api.md` lists
the differences that are intentional. Objects that are maps in Go have their keys in the order in which Go writes them.
"""

import base64
import json
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from exporter.judging import verdict
from exporter.model import names, routes
from exporter.model.addresses import Endpoint
from exporter.model.enums import Implementation, IPFamily, SrvService, Stage
from exporter.model.findings import Resolution, SigningKeys, SrvRecord, SrvRecords, TlsSession
from exporter.model.outcomes import Failed, Outcome, Passed, Problem, Skipped, found
from exporter.model.report import EndpointReport, LocatedProblem, Report
from exporter.model.routes import Route
from exporter.reports import phrases
from exporter.reports.tester_checks import key_checks
from exporter.reports.tls_names import CIPHER_SUITES, TLS_VERSIONS

JsonObject: TypeAlias = dict[str, Any]
_BEFORE_VERSION = (Stage.SRV, Stage.DNS, Stage.TCP, Stage.TUNNEL, Stage.TLS, Stage.VERSION)


# ---------------------------------------------------------------- the document


def tester_json(report: Report) -> JsonObject:
    """Return the document, ready for `json.dumps`."""
    if refused := _refused_delegation(report):
        document = error_report(f"Invalid server name '{refused}' in .well-known result")
        return {**document, "WellKnownResult": {"m.server": refused, "CacheExpiresAt": _cache_expires(report)}}
    return {**_found_by(_like_the_tester(report)), "FederationOK": verdict.federates(report)}


def _refused_delegation(report: Report) -> str | None:
    """Return what is in place of a server name in the well-known, if Dendrite and the tester end there."""
    delegation, way = found(report.well_known), report.way_of(Implementation.DENDRITE)
    ends = isinstance(way.route, LocatedProblem) and way.route.stage is Stage.WELL_KNOWN
    return (
        phrases.printable_text(delegation.response.m_server or "")
        if ends and delegation and delegation.response
        else None
    )


def _like_the_tester(report: Report) -> Report:
    """Return the report with the way of Dendrite, if an SRV lookup fails: it shares its discovery with the tester."""
    way = report.way_of(Implementation.DENDRITE)
    if not isinstance(report.srv, Failed) or not isinstance(way.route, Route):
        return report
    return replace(report, route=way.route, dns=way.dns, endpoints=way.endpoints)


def _found_by(report: Report) -> JsonObject:
    return {
        "WellKnownResult": _well_known(report),
        "DNSResult": _dns(report),
        "ConnectionReports": _sorted(
            {seen.endpoint.address: _connection(seen) for seen in report.endpoints if _is_reported(seen)}
        ),
        "ConnectionErrors": _sorted(
            {
                seen.endpoint.address: _message(_first_problem(seen))
                for seen in report.endpoints
                if not _is_reported(seen)
            }
        ),
        "Version": _version(report),
    }


def error_report(error: str) -> JsonObject:
    """Return a document with an error, for a server without a report."""
    no_dns = {"SRVSkipped": False, "SRVCName": "", "SRVRecords": None, "SRVError": None, "Hosts": None, "Addrs": None}
    return {
        "Error": error,
        "WellKnownResult": {"m.server": "", "CacheExpiresAt": 0},
        "DNSResult": no_dns,
        "ConnectionReports": {},
        "ConnectionErrors": {},
        "Version": {},
        "FederationOK": False,
    }


def _message(text: str) -> JsonObject:
    return {"Message": text}


def _sorted(entries: JsonObject) -> JsonObject:
    return dict(sorted(entries.items()))


def _problem_text(problem: Problem) -> str:
    return f"{problem.reason}: {problem.detail}"


# ---------------------------------------------------------------- discovery


def _well_known(report: Report) -> JsonObject:
    """`result` is present only if there is no delegation."""
    seen = found(report.well_known)
    if seen and seen.server:
        return {"m.server": seen.server.text, "CacheExpiresAt": _cache_expires(report)}
    return {"m.server": "", "result": _why_no_delegation(report), "CacheExpiresAt": 0}


def _cache_expires(report: Report) -> int:
    """Return when the well-known expires by its own headers, in seconds since 1970; 0 if they do not say."""
    seen = found(report.well_known)
    announced = seen.response.announced_seconds if seen and seen.response else None
    return 0 if announced is None else int(report.ended_at.timestamp()) + announced


def _why_no_delegation(report: Report) -> str:
    match report.well_known:
        case Failed(problems=(first, *_)):
            return _problem_text(first)
        case Passed(found=delegation) if delegation.absent_because:
            return phrases.ABSENT[delegation.absent_because]
        case _:
            return f"not requested: the server name contains {phrases.decisive_part(report.server_name)}"


def _dns(report: Report) -> JsonObject:
    hosts = dict.fromkeys(target.host for target in report.route.targets)
    return {
        "SRVSkipped": isinstance(report.srv, Skipped),
        **_srv(report),
        "Hosts": _sorted({_dotted(host, report): _host_result(host, report) for host in hosts}) or None,
        "Addrs": [endpoint.address for endpoint in _ipv6_first(seen.endpoint for seen in report.endpoints)] or None,
    }


def _ipv6_first(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Sort the endpoints of each target as the resolver of the public tester does. The order of targets stays."""
    remaining = list(endpoints)
    order = list(dict.fromkeys(endpoint.target for endpoint in remaining))
    return sorted(remaining, key=lambda each: (order.index(each.target), each.ip_family is not IPFamily.IPV6))


def _srv(report: Report) -> JsonObject:
    """Return the records that determined the targets. `SRVError` is null only if there are records, or no lookup."""
    seen = found(report.srv)
    service = seen.decided_by if seen else None
    records = seen.records.get(service, ()) if seen and service else ()
    queried = phrases.delegated_server(report) or report.server_name
    return {
        "SRVCName": f"_{service}._tcp.{queried.host}." if records else "",
        "SRVRecords": [_srv_record(record) for record in records] or None,
        "SRVError": None if records else _srv_error(report.srv, queried.host),
    }


def _srv_error(outcome: Outcome[SrvRecords], host: str) -> JsonObject | None:
    """To the public tester, a name without records is an error too: that of the service that it looks up last."""
    match outcome:
        case Failed(problems=(first, *_)):
            return _message(_problem_text(first))
        case Passed():
            return _message(f"lookup _{SrvService.MATRIX}._tcp.{host}: no such host")
        case _:
            return None


def _srv_record(record: SrvRecord) -> JsonObject:
    return {
        "Target": f"{record.target.host}.",
        "Port": record.target.port,
        "Priority": record.priority,
        "Weight": record.weight,
    }


def _dotted(host: str, report: Report) -> str:
    """Return the host as the public tester does: SRV targets have a dot at the end, and other hosts do not."""
    return f"{host}." if report.route.method in routes.BY_SRV else host


def _host_result(host: str, report: Report) -> JsonObject:
    resolved = found(report.dns) or Resolution(())
    of_host = (endpoint for endpoint in resolved.endpoints if endpoint.target.host == host)
    ips = dict.fromkeys(str(endpoint.ip) for endpoint in _ipv6_first(of_host))
    error = None if ips else _host_error(host, report.dns)
    return {
        "CName": "" if names.ip_literal(host) else f"{resolved.aliases.get(host, host)}.",
        "Addrs": list(ips) or None,
        "Error": _message(_problem_text(error)) if error else None,
    }


def _host_error(host: str, resolved: Outcome[Resolution]) -> Problem | None:
    """Return the problem whose detail starts with the host or, failing that, the problem of all targets."""
    known = found(resolved)
    unresolved = known.unresolved if known else ()
    own = (problem for problem in unresolved if problem.detail.startswith((f"{host} ", f"{host}:")))
    common = resolved.problems[0] if isinstance(resolved, Failed) else None
    return next(own, common)


# ---------------------------------------------------------------- endpoints


def _is_reported(seen: EndpointReport) -> bool:
    """Whether the keys are known, or at least the invalid certificate because of which they are not."""
    return found(_keys(seen)) is not None or seen.lacks_keys_behind_bad_certificate


def _keys(seen: EndpointReport) -> Outcome[SigningKeys]:
    """Return the keys of an endpoint, whether or not its certificate verifies: the public tester does not mind."""
    return seen.keys_behind_bad_certificate if isinstance(seen.keys, Skipped) else seen.keys


def _first_problem(seen: EndpointReport) -> str:
    """Return the problem because of which the keys are unknown. The stage `version` does not affect them."""
    behind = seen.keys_behind_bad_certificate
    stages = ((Stage.KEYS, behind), seen.connecting, (Stage.TLS, seen.tls), (Stage.KEYS, seen.keys))
    for stage, outcome in stages:
        if isinstance(outcome, Failed):
            return f"{stage}: {_problem_text(outcome.problems[0])}"
    return "no request was sent"


def _connection(seen: EndpointReport) -> JsonObject:
    secured, keys = found(seen.tls), found(_keys(seen))
    assert secured is not None
    checks = key_checks(_keys(seen))
    keys_ok = checks["AllChecksOK"]
    valid = isinstance(seen.tls, Passed)
    return {
        "Certificates": list(_certificates(secured)),
        "Cipher": _cipher(secured),
        "Checks": {**checks, "AllChecksOK": keys_ok and valid, "ValidCertificates": valid},
        "Errors": [_message(_problem_text(problem)) for problem in seen.tls.problems]
        if isinstance(seen.tls, Failed)
        else [],
        "Ed25519VerifyKeys": _sorted(keys.keys) if keys and keys_ok else None,
        "Info": {},
        "Keys": json.loads(keys.document) if keys and keys.document else None,
    }


def _certificates(secured: TlsSession) -> Iterator[JsonObject]:
    """Yield the chain as presented. The names of issuers are omitted, because they rarely have any."""
    leaf = secured.certificate
    dns_names = [name for name in leaf.names if names.ip_literal(name) is None]
    yield _certificate(leaf.subject, leaf.issuer, leaf.fingerprint_sha256, dns_names or None)
    for issuer in secured.issuers:
        yield _certificate(issuer.subject, issuer.issuer, issuer.fingerprint_sha256, None)


def _certificate(subject: str, issuer: str, fingerprint: str, dns_names: list[str] | None) -> JsonObject:
    return {
        "SubjectCommonName": subject,
        "IssuerCommonName": issuer,
        "SHA256Fingerprint": _unpadded(unhexlify(fingerprint)),
        "DNSNames": dns_names,
    }


def _unpadded(raw: bytes) -> str:
    """Return unpadded base64 (Matrix specification, appendices)."""
    return base64.b64encode(raw).decode().rstrip("=")


def _cipher(secured: TlsSession) -> JsonObject:
    name = secured.cipher or ""
    return {
        "Version": TLS_VERSIONS.get(secured.tls_version, secured.tls_version),
        "CipherSuite": CIPHER_SUITES.get(name, name),
    }


def _version(report: Report) -> JsonObject:
    """Unknown fields are missing. `error` is the problem that came closest to the version, if it is unknown."""
    software = verdict.software(report)
    if software:
        return {key: text for key, text in (("name", software.name), ("version", software.version)) if text}
    needed = (each for each in verdict.problems(report) if each.stage in _BEFORE_VERSION)
    closest = max(needed, key=lambda each: _BEFORE_VERSION.index(each.stage), default=None)
    return {"error": f"{closest.stage}: {_problem_text(closest.problem)}" if closest else "no endpoint was queried"}
