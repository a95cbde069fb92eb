"""What a probe found, in words for people: short texts, made printable where remote servers chose them. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import Stage
from exporter.model.findings import Certificate, Delegation, Resolution, SigningKeys, Software, SrvRecords, TlsSession
from exporter.model.names import ServerName
from exporter.model.outcomes import found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.sanitize import printable

_MAX_CHARACTERS = 300  # of a text that a remote server chose
_MAX_LISTED = 3  # of many things, before they are only counted

_UNITS: Final = (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)))
_SECOND: Final = timedelta(seconds=1)

ABSENT: Final = {
    Reason.HTTP_STATUS: "no such page (status 404 or 410)",
    Reason.CONNECT_REFUSED: "nothing listens at port 443",
    Reason.NXDOMAIN: "the name does not exist",
    Reason.NO_ADDRESSES: "the name has no address",
}


def printable_text(text: str) -> str:
    return printable(text, _MAX_CHARACTERS)


# ---------------------------------------------------------------- times


def format_duration(seconds: float) -> str:
    """At most seven characters: `<0.1 ms`, `0.8 ms`, `80 ms`, `30.00 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 0.1:
        return "<0.1 ms"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{seconds:.2f} s"


def format_span(time: timedelta) -> str:
    """In the largest unit of which there are at least two, rounded down."""
    for unit, size in _UNITS:
        if time >= 2 * size:
            return f"{time // size} {unit}"
    return count_of(time // _SECOND, "second")


def _relative_time(at: datetime, now: datetime) -> str:
    return f"in {format_span(at - now)}" if at > now else f"{format_span(now - at)} ago"


def format_expiry(at: datetime, now: datetime) -> str:
    return f"{'expires' if at > now else 'expired'} {_relative_time(at, now)} ({at:%Y-%m-%d})"


# ---------------------------------------------------------------- the way


def describe_path(report: Report) -> list[str]:
    """From the server name to the endpoints, as discovery went it; a step that changes nothing is left out."""
    delegated = delegated_server(report)
    steps = [
        report.server_name.text,
        *(["well-known", delegated.text] if delegated else []),
        *(["SRV"] if report.route.method in routes.BY_SRV else []),
        join_limited([str(target) for target in report.route.targets], "target"),
        *(
            [join_limited([seen.endpoint.address for seen in report.endpoints], "endpoint")]
            if report.route.targets
            else []
        ),
    ]
    return [printable_text(step) for step, before in zip(steps, ["", *steps], strict=False) if step != before]


def join_limited(things: Sequence[str], noun: str) -> str:
    """`a`, `a, b`, `a, b, c and 5 more`, or `no noun`."""
    more = len(things) - _MAX_LISTED
    return ", ".join(things[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "") or f"no {noun}"


def count_of(count: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def delegated_server(report: Report) -> ServerName | None:
    seen = found(report.well_known)
    return seen.server if seen else None


def describe_names(report: Report) -> str:
    route = report.route
    names = f"Host {route.host_header}, certificate for {route.tls_name}"
    return names if route.sni else f"{names}, no SNI"


def why_skipped(stage: Stage, report: Report) -> str:
    """For the stages before `tcp`."""
    delegated = delegated_server(report)
    match stage:
        case Stage.WELL_KNOWN:
            return f"the server name gives {what_decides(report.server_name)}"
        case Stage.SRV if delegated:
            return f"the well-known gives {what_decides(delegated)}"
        case Stage.SRV:
            return f"the server name gives {what_decides(report.server_name)}"
        case _:
            return "there is no target to look up"


def what_decides(name: ServerName) -> str:
    """Why nothing more is asked to find the target."""
    return "an IP address" if name.ip else "a port"


# ---------------------------------------------------------------- findings of each stage


def describe_finding(seen: object, now: datetime) -> Iterator[str]:
    """Of whatever a stage found, safe to show."""
    return map(printable_text, _describe_raw(seen, now))


def _describe_raw(seen: object, now: datetime) -> Iterator[str]:
    match seen:
        case Delegation():
            return _describe_delegation(seen, now)
        case SrvRecords():
            return _describe_srv_records(seen)
        case Resolution():
            return describe_resolution(seen)
        case TlsSession():
            return _describe_tls_session(seen, now)
        case Software():
            return describe_software(seen)
        case SigningKeys():
            return _describe_signing_keys(seen)
        case _:  # an open TCP connection
            return iter(())


def _describe_delegation(seen: Delegation, now: datetime) -> Iterator[str]:
    if seen.server:
        yield f"m.server is {seen.server}"
        yield f"peers may keep it for {format_span(timedelta(seconds=seen.cache_seconds))}"
    if seen.absent_because:
        yield ABSENT[seen.absent_because]
    if seen.tls_session:
        yield f"certificate {format_expiry(seen.tls_session.certificate.not_after, now)}"


def _describe_srv_records(seen: SrvRecords) -> Iterator[str]:
    """As zone files have them: priority, weight, port, host."""
    for service, records in seen.records.items():
        if records:
            yield f"_{service}._tcp"
        for record in records:
            yield f"{record.priority} {record.weight} {record.target.port} {record.target.host}"
    if seen.decided_by is None:
        yield "no records, so peers use the default port"


def describe_resolution(seen: Resolution) -> Iterator[str]:
    """The addresses of each target that has any."""
    addresses: dict[Target, list[str]] = {}
    for endpoint in seen.endpoints:
        addresses.setdefault(endpoint.target, []).append(str(endpoint.ip))
    for target, ips in addresses.items():
        yield f"{target.host}: {', '.join(ips)}" if [target.host] != ips else "an IP address already"


def _describe_tls_session(seen: TlsSession, now: datetime) -> Iterator[str]:
    yield seen.tls_version
    yield from describe_certificate(seen.certificate, now)


def describe_certificate(seen: Certificate, now: datetime) -> Iterator[str]:
    yield f"certificate for {join_limited(seen.names, 'name')}"
    yield f"issued by {seen.issuer}"
    yield format_expiry(seen.not_after, now)
    if seen.chain_not_after < seen.not_after:
        yield f"its chain {format_expiry(seen.chain_not_after, now)}"


def describe_software(seen: Software) -> Iterator[str]:
    yield " ".join(text for text in (seen.name, seen.version) if text) or "does not say which software it is"


def _describe_signing_keys(seen: SigningKeys) -> Iterator[str]:
    yield join_limited(list(seen.keys), "valid key")
    yield f"valid until {seen.valid_until:%Y-%m-%d %H:%M} UTC"
