"""Short phrases that describe what a probe found. Text that a remote server chose is made printable. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import OutboundMethod, Stage
from exporter.model.findings import (
    CameBack,
    Certificate,
    Contact,
    Delegation,
    Resolution,
    SigningKeys,
    Software,
    SrvRecords,
    Support,
    TlsSession,
)
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Outcome, Passed, Skipped, found
from exporter.model.reasons import Reason
from exporter.model.report import OutboundLook, Report
from exporter.model.sanitize import printable

_MAX_CHARACTERS = 300  # of a text from a remote server
_MAX_LISTED = 3  # the others are only counted

_UNITS: Final = (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)))
_SECOND: Final = timedelta(seconds=1)
_MIN_AGE_SHOWN: Final = timedelta(minutes=1)  # a deep look ends slightly later than the probe that includes it

ABSENT: Final = {
    Reason.HTTP_STATUS: "there is no such file (status 404 or 410)",
    Reason.CONNECT_REFUSED: "nothing is listening on port 443",
    Reason.TUNNEL_FAILED: "the exporter's proxy cannot connect to port 443",
    Reason.NXDOMAIN: "the name does not exist",
    Reason.NO_ADDRESSES: "the name has no address",
}
"""Why there is no well-known, so that the server name itself applies."""


def printable_text(text: str) -> str:
    return printable(text, _MAX_CHARACTERS)


# ---------------------------------------------------------------- times


def format_duration(seconds: float) -> str:
    """Return a duration in at most seven characters: `<0.1 ms`, `0.8 ms`, `80 ms`, `30.00 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 0.1:
        return "<0.1 ms"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{seconds:.2f} s"


def format_span(time: timedelta) -> str:
    """Return a time span, rounded down, in the largest unit that gives a number of at least 2."""
    for unit, size in _UNITS:
        if time >= 2 * size:
            return f"{time // size} {unit}"
    return count_of(time // _SECOND, "second")


def _relative_time(at: datetime, now: datetime) -> str:
    return f"in {format_span(at - now)}" if at > now else f"{format_span(now - at)} ago"


def format_expiry(at: datetime, now: datetime) -> str:
    """Return `expires in 12 days (2026-12-04)` or `expired 3 days ago (2026-11-19)`."""
    return f"{'expires' if at > now else 'expired'} {_relative_time(at, now)} ({at:%Y-%m-%d})"


def format_age(made_at: datetime, probed_at: datetime) -> str:
    """Return when a look was made that may be older than the probe, such as `5 minutes before this probe (…)`."""
    age = probed_at - made_at
    when = f"{format_span(age)} before this probe" if age >= _MIN_AGE_SHOWN else "with this probe"
    return f"{when} ({made_at:%Y-%m-%d %H:%M} UTC)"


# ---------------------------------------------------------------- server discovery


def describe_path(report: Report) -> list[str]:
    """Return the steps of discovery, from the server name to the endpoints, without those that change nothing."""
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
    """Return `a`, `a, b`, `a, b, c and 5 more`, or `no noun`."""
    more = len(things) - _MAX_LISTED
    return ", ".join(things[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "") or f"no {noun}"


def count_of(count: int, noun: str) -> str:
    """Return `1 problem` or `2 problems`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def delegated_server(report: Report) -> ServerName | None:
    """Return the server in the well-known, if there is one."""
    seen = found(report.well_known)
    return seen.server if seen else None


def describe_names(report: Report) -> str:
    """Return the Host header and the name that the certificate must be valid for."""
    route = report.route
    names = f"Host {route.host_header}, certificate for {route.tls_name}"
    return names if route.sni else f"{names}, no SNI"


def explain_skip(stage: Stage, report: Report) -> str:
    """Return why a stage of discovery was skipped."""
    delegated = delegated_server(report)
    match stage:
        case Stage.WELL_KNOWN:
            return f"the server name contains {decisive_part(report.server_name)}"
        case Stage.SRV if delegated:
            return f"the well-known contains {decisive_part(delegated)}"
        case Stage.SRV:
            return f"the server name contains {decisive_part(report.server_name)}"
        case _:
            return "there is no target to resolve"


def decisive_part(name: ServerName) -> str:
    """Return the part of the name that makes further lookups unnecessary."""
    return "an IP address" if name.ip else "a port"


# ---------------------------------------------------------------- findings of each stage


def describe_finding(seen: object, now: datetime) -> Iterator[str]:
    """Yield phrases about what a stage found. They are printable."""
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
        case CameBack():
            return _describe_coming_back(seen)
        case str():
            return iter((f"through the proxy {seen}",))
        case _:  # an open TCP connection
            return iter(())


_WAYS_BACK: Final = {
    OutboundMethod.ALIAS: "asked for a room alias of the exporter",
    OutboundMethod.NOTARY: "asked for the exporter's keys",
    OutboundMethod.SIGNED: "after a signed request",
}


def _describe_coming_back(seen: CameBack) -> Iterator[str]:
    over = f" over {seen.ip_family.written}" if seen.ip_family else ""
    yield f"it reaches the exporter{over}, {_WAYS_BACK[seen.method]}"


def describe_other_families(look: OutboundLook) -> Iterator[str]:
    """Yield what is known of each IP family that the finding of the stage does not mention, unless the stage fails."""
    if isinstance(look.outcome, Failed):
        return
    shown = came.ip_family if (came := found(look.outcome)) else None
    for family, outcome in look.by_family.items():
        if family is not shown:
            yield f"{family.written}: {_describe_arrival(outcome)}"


def _describe_arrival(outcome: Outcome[CameBack]) -> str:
    match outcome:
        case Passed():
            return "it reaches the exporter too"
        case Failed():
            return "it does not reach the exporter"
        case Skipped():
            return "nothing shows whether it reaches the exporter"


def _describe_delegation(seen: Delegation, now: datetime) -> Iterator[str]:
    if seen.server:
        yield f"m.server is {seen.server}"
        yield f"peers may cache it for {format_span(timedelta(seconds=seen.cache_seconds))}"
    if seen.absent_because:
        yield ABSENT[seen.absent_because]
    if seen.tls_session:
        yield f"certificate {format_expiry(seen.tls_session.certificate.not_after, now)}"


def _describe_srv_records(seen: SrvRecords) -> Iterator[str]:
    """Yield the records in the notation of zone files: priority, weight, port, host."""
    for service, records in seen.records.items():
        if records:
            yield f"_{service}._tcp"
        for record in records:
            yield f"{record.priority} {record.weight} {record.target.port} {record.target.host}"
    if seen.decided_by is None:
        yield "no records, so peers use the default port"


def describe_resolution(seen: Resolution) -> Iterator[str]:
    """Yield the addresses of each target that has any."""
    addresses: dict[Target, list[str]] = {}
    for endpoint in seen.endpoints:
        addresses.setdefault(endpoint.target, []).append(str(endpoint.ip))
    for target, ips in addresses.items():
        alias = f" (an alias of {seen.aliases[target.host]})" if target.host in seen.aliases else ""
        yield f"{target.host}{alias}: {', '.join(ips)}" if [target.host] != ips else "already an IP address"
    if seen.without_route:
        not_probed = join_limited([str(endpoint.ip) for endpoint in seen.without_route], "address")
        yield f"not probed, as the exporter's machine has no route there: {not_probed}"


def _describe_tls_session(seen: TlsSession, now: datetime) -> Iterator[str]:
    yield f"{seen.tls_version}, {seen.cipher}" if seen.cipher else seen.tls_version
    yield from describe_certificate(seen.certificate, now)


def describe_certificate(seen: Certificate, now: datetime) -> Iterator[str]:
    """Yield the names, the issuer and the expiry, and the expiry of the chain if that is earlier."""
    yield f"certificate for {join_limited(seen.names, 'name')}"
    yield f"issued by {seen.issuer}"
    yield format_expiry(seen.not_after, now)
    if seen.chain_not_after < seen.not_after:
        yield f"its chain {format_expiry(seen.chain_not_after, now)}"


def describe_software(seen: Software) -> Iterator[str]:
    """Yield the name and the version, each of which may be missing."""
    yield " ".join(text for text in (seen.name, seen.version) if text) or "does not name its software"


def describe_keys_behind_bad_certificate(keys: Outcome[SigningKeys]) -> Iterator[str]:
    """Yield what a deep look got behind a certificate that does not verify, and what that means."""
    match keys:
        case Passed(found=published):
            yield "unverified: the right homeserver answers behind this certificate, so only the certificate is wrong"
            yield from map(printable_text, _describe_signing_keys(published))
        case Failed(problems=problems):
            what = "; ".join(f"{problem.reason}: {problem.detail}" for problem in problems)
            yield printable_text(f"unverified: behind this certificate, the keys have a problem too: {what}")


def describe_support(seen: Support) -> Iterator[str]:
    """Yield the addresses of the contacts, each with its role, and the page."""
    yield from map(printable_text, map(_describe_contact, seen.contacts[:_MAX_LISTED]))
    if seen.page:
        yield printable_text(seen.page)


def _describe_contact(seen: Contact) -> str:
    """Return `@admin:example.org or admin@example.org (admin)`."""
    addresses = " or ".join(filter(None, (seen.matrix_id, seen.email_address)))
    return f"{addresses} ({role_of(seen)})" if seen.role else addresses


def role_of(contact: Contact) -> str:
    """Return a role of the specification as a word, and another one as it is."""
    return (contact.role or "").removeprefix("m.role.")


def _describe_signing_keys(seen: SigningKeys) -> Iterator[str]:
    yield join_limited(list(seen.keys), "valid key")
    yield f"valid until {seen.valid_until:%Y-%m-%d %H:%M} UTC"
