"""What a probe found, in words for people: short texts, made printable where remote servers chose them. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import Reason, Stage
from exporter.model.findings import Certificate, Delegation, Resolved, Secured, SigningKeys, Software, SrvRecords
from exporter.model.names import ServerName
from exporter.model.outcomes import found
from exporter.model.report import Report
from exporter.model.sanitize import printable

MOST_CHARACTERS = 300  # of a text that a remote server chose
MOST_LISTED = 3  # of many things, before they are only counted

UNITS: Final = (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)))
SECOND: Final = timedelta(seconds=1)

ABSENT: Final = {
    Reason.HTTP_STATUS: "no such page (status 404 or 410)",
    Reason.CONNECT_REFUSED: "nothing listens at port 443",
    Reason.NXDOMAIN: "the name does not exist",
    Reason.NO_ADDRESSES: "the name has no address",
}


def shown(text: str) -> str:
    return printable(text, MOST_CHARACTERS)


# ---------------------------------------------------------------- times


def duration(seconds: float) -> str:
    """At most seven characters: `<0.1 ms`, `0.8 ms`, `80 ms`, `30.00 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 0.1:
        return "<0.1 ms"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{seconds:.2f} s"


def span(time: timedelta) -> str:
    """In the largest unit of which there are at least two, rounded down."""
    for unit, size in UNITS:
        if time >= 2 * size:
            return f"{time // size} {unit}"
    return number(time // SECOND, "second")


def away(at: datetime, now: datetime) -> str:
    return f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"


def expiry(at: datetime, now: datetime) -> str:
    return f"{'expires' if at > now else 'expired'} {away(at, now)} ({at:%Y-%m-%d})"


# ---------------------------------------------------------------- the way


def way(report: Report) -> list[str]:
    """From the server name to the endpoints, as discovery went it; a step that changes nothing is left out."""
    delegated = delegated_server(report)
    steps = [
        report.server_name.text,
        *(["well-known", delegated.text] if delegated else []),
        *(["SRV"] if report.route.method in routes.BY_SRV else []),
        listed([str(target) for target in report.route.targets], "target"),
        *([listed([seen.endpoint.address for seen in report.endpoints], "endpoint")] if report.route.targets else []),
    ]
    return [shown(step) for step, before in zip(steps, ["", *steps], strict=False) if step != before]


def listed(things: Sequence[str], noun: str) -> str:
    """`a`, `a, b`, `a, b, c and 5 more`, or `no noun`."""
    more = len(things) - MOST_LISTED
    return ", ".join(things[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "") or f"no {noun}"


def number(count: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def delegated_server(report: Report) -> ServerName | None:
    seen = found(report.well_known)
    return seen.server if seen else None


def asked_as(report: Report) -> str:
    route = report.route
    names = f"Host {route.host_header}, certificate for {route.tls_name}"
    return names if route.sni else f"{names}, no SNI"


def why_skipped(stage: Stage, report: Report) -> str:
    """For the stages before `tcp`."""
    delegated = delegated_server(report)
    match stage:
        case Stage.WELL_KNOWN:
            return f"the server name gives {what_settles(report.server_name)}"
        case Stage.SRV if delegated:
            return f"the well-known gives {what_settles(delegated)}"
        case Stage.SRV:
            return f"the server name gives {what_settles(report.server_name)}"
        case _:
            return "there is no target to look up"


def what_settles(name: ServerName) -> str:
    """Why nothing more is asked to find the target."""
    return "an IP address" if name.ip else "a port"


# ---------------------------------------------------------------- findings of each stage


def findings(seen: object, now: datetime) -> Iterator[str]:
    """Of whatever a stage found, safe to show."""
    return map(shown, told(seen, now))


def told(seen: object, now: datetime) -> Iterator[str]:
    match seen:
        case Delegation():
            return delegation(seen, now)
        case SrvRecords():
            return srv_records(seen)
        case Resolved():
            return resolved(seen)
        case Secured():
            return secured(seen, now)
        case Software():
            return software(seen)
        case SigningKeys():
            return signing_keys(seen)
        case _:  # an open TCP connection
            return iter(())


def delegation(seen: Delegation, now: datetime) -> Iterator[str]:
    if seen.server:
        yield f"m.server is {seen.server}"
        yield f"peers may keep it for {span(timedelta(seconds=seen.cache_seconds))}"
    if seen.absent_because:
        yield ABSENT[seen.absent_because]
    if seen.secured:
        yield f"certificate {expiry(seen.secured.certificate.not_after, now)}"


def srv_records(seen: SrvRecords) -> Iterator[str]:
    """As zone files have them: priority, weight, port, host."""
    for service, records in seen.records.items():
        if records:
            yield f"_{service}._tcp"
        for record in records:
            yield f"{record.priority} {record.weight} {record.target.port} {record.target.host}"
    if seen.decided_by is None:
        yield "no records, so peers use the default port"


def resolved(seen: Resolved) -> Iterator[str]:
    """The addresses of each target that has any."""
    addresses: dict[Target, list[str]] = {}
    for endpoint in seen.endpoints:
        addresses.setdefault(endpoint.target, []).append(str(endpoint.ip))
    for target, ips in addresses.items():
        yield f"{target.host}: {', '.join(ips)}" if [target.host] != ips else "an IP address already"


def secured(seen: Secured, now: datetime) -> Iterator[str]:
    yield seen.tls_version
    yield from certificate(seen.certificate, now)


def certificate(seen: Certificate, now: datetime) -> Iterator[str]:
    yield f"certificate for {listed(seen.names, 'name')}"
    yield f"issued by {seen.issuer}"
    yield expiry(seen.not_after, now)
    if seen.chain_not_after < seen.not_after:
        yield f"its chain {expiry(seen.chain_not_after, now)}"


def software(seen: Software) -> Iterator[str]:
    yield " ".join(text for text in (seen.name, seen.version) if text) or "does not say which software it is"


def signing_keys(seen: SigningKeys) -> Iterator[str]:
    yield listed(list(seen.keys), "valid key")
    yield f"valid until {seen.valid_until:%Y-%m-%d %H:%M} UTC"
