"""Reports built by hand: what probes of a handful of servers would have found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Implementation, IPFamily, Means, Method, OutboundMethod, SrvService, Stage
from exporter.model.findings import (
    CameBack,
    Certificate,
    Contact,
    Delegation,
    Resolution,
    SigningKeys,
    Software,
    SrvRecord,
    SrvRecords,
    Support,
    TlsSession,
)
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import (
    Answers,
    ByName,
    DeepLook,
    EndpointDeepLook,
    EndpointReport,
    LocatedProblem,
    NotaryResult,
    OutboundLook,
    Report,
    SecondLook,
    Way,
)
from exporter.model.routes import Route
from exporter.model.servers import DEFAULT_CADENCE, NOTHING_EXPECTED, Expectations, Labels, WatchedServer

ENDED_AT = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
MATRIX_443 = Target("matrix.example.org", 443)
MATRIX_ENDPOINT = Endpoint(MATRIX_443, IPv4Address("192.0.2.1"))


def watched_server(
    server_name: str,
    interval: float = 300,
    expected: Expectations = NOTHING_EXPECTED,
    labels: Labels = (),
    group: str = "default",
) -> WatchedServer:
    return WatchedServer(names.parse(server_name), interval, expected, DEFAULT_CADENCE, labels, group)


def certificate(host: str, days_left: int = 60, *, valid: bool = True) -> Certificate:
    """A leaf of 90 days, under an intermediate that has a year left."""
    not_after = ENDED_AT + timedelta(days=days_left)
    return Certificate(
        not_before=not_after - timedelta(days=90),
        not_after=not_after,
        chain_not_after=min(not_after, ENDED_AT + timedelta(days=365)),
        issuer="CN=Test Intermediate",
        subject=f"CN={host}",
        names=(host,),
        fingerprint_sha256=host.encode().hex().ljust(64, "0")[:64],
        valid=valid,
    )


def tls_session(host: str, days_left: int = 60, tls_version: str = "TLSv1.3") -> TlsSession:
    return TlsSession(certificate(host, days_left, valid=days_left > 0), tls_version)


def healthy(endpoint: Endpoint, session: TlsSession) -> EndpointReport:
    return EndpointReport(
        endpoint,
        tcp=Passed(0.01, None),
        tls=Passed(0.02, session),
        version=Passed(0.03, Software("Synapse", "1.163.2")),
        keys=Passed(0.04, SigningKeys({"ed25519:a_1": "a2V5"}, ENDED_AT + timedelta(days=1), "application/json")),
    )


def delegated_by_well_known(server_name: str = "example.org") -> Report:
    """Return the report of a healthy server with one IPv4 endpoint."""
    target = names.parse("matrix.example.org:443")
    return Report(
        server_name=names.parse(server_name),
        ended_at=ENDED_AT,
        seconds=0.25,
        well_known=Passed(0.08, Delegation(86400, server=target, tls_session=tls_session(server_name, 30))),
        srv=SKIPPED,
        route=Route(Method.WELL_KNOWN_PORT, (MATRIX_443,), "matrix.example.org:443", MATRIX_443.host, MATRIX_443.host),
        dns=Passed(0.005, Resolution((MATRIX_ENDPOINT,))),
        endpoints=(healthy(MATRIX_ENDPOINT, tls_session(MATRIX_443.host)),),
    )


def with_endpoints(*endpoints: EndpointReport) -> Report:
    """Return `delegated_by_well_known` with other endpoints."""
    return replace(delegated_by_well_known(), endpoints=endpoints)


def healthy_at(ip: str, *, behind_alias: bool = False) -> EndpointReport:
    """Return a healthy endpoint at an address."""
    return healthy(Endpoint(MATRIX_443, ip_address(ip), behind_alias), tls_session(MATRIX_443.host))


def with_keys(endpoint: EndpointReport, keys: SigningKeys) -> EndpointReport:
    return replace(endpoint, keys=Passed(0.04, keys))


DEEP_LOOK_AT = ENDED_AT - timedelta(minutes=20)
SUPPORT = Support(
    (Contact("m.role.admin", "@admin:example.org", "admin@example.org"), Contact("m.role.security", None, "sec@a.org")),
    "https://example.org/support",
)


def with_outbound(*problems: Problem) -> Report:
    """Return `delegated_by_well_known` with a look at the other direction, in which the server came over IPv6."""
    came = CameBack(OutboundMethod.ALIAS, IPFamily.IPV6)
    outcome: Passed[CameBack] | Failed[CameBack] = Failed(10.0, problems) if problems else Passed(0.08, came)
    return replace(delegated_by_well_known(), outbound=OutboundLook(ENDED_AT - timedelta(minutes=5), outcome))


def with_families(
    report: Report, ipv4: Outcome[CameBack], ipv6: Outcome[CameBack], outcome: Outcome[CameBack] | None = None
) -> Report:
    """Return a report with a look under a name for each IP family. By default, the stage has the outcome for IPv4."""
    made_at = ENDED_AT - timedelta(minutes=5)
    by_name = (ByName(IPFamily.IPV6, made_at, ipv6), ByName(IPFamily.IPV4, made_at, ipv4))
    return replace(report, outbound=OutboundLook(made_at, outcome or ipv4, by_name=by_name))


CAME_OVER_IPV4 = Passed(0.08, CameBack(OutboundMethod.SIGNED, IPFamily.IPV4))
CAME_OVER_IPV6 = Passed(0.09, CameBack(OutboundMethod.ALIAS, IPFamily.IPV6))
DID_NOT_COME: Failed[CameBack] = Failed(10.0, (Problem(Reason.OUTBOUND_UNREACHABLE, "nothing came"),))


def with_deep_look(*problems: Problem) -> Report:
    """Return `delegated_by_well_known` with a deep look of 20 minutes ago, in which only the proxy has `problems`."""
    report = delegated_by_well_known()
    (endpoint,) = report.endpoints
    proxy: Passed[None] | Failed[None] = Failed(0.05, problems) if problems else Passed(0.05, None)
    notary = NotaryResult(names.parse("notary.example.org"), endpoint.keys)
    deep = DeepLook(
        DEEP_LOOK_AT, {"192.0.2.7:443": "matrix.example.org:443"}, srv=None, notaries=(notary,), support=SUPPORT
    )
    return replace(report, deep=deep, endpoints=(replace(endpoint, deep=EndpointDeepLook(proxy)),))


def expired_certificate() -> Report:
    """Return a report from a day after the endpoint's certificate expired: nothing is sent over that connection."""
    problem = Problem(Reason.CERTIFICATE_EXPIRED, "expired a day ago")
    tls = Failed(0.02, (problem,), found=tls_session(MATRIX_443.host, -1))
    endpoint = EndpointReport(MATRIX_ENDPOINT, tcp=Passed(0.01, None), tls=tls)
    return replace(delegated_by_well_known("expired.example.org"), endpoints=(endpoint,))


def behind_expired_certificate(keys: Outcome[SigningKeys] | None = None) -> Report:
    """Return `expired_certificate` with a deep look, which fetched these keys, or good ones, behind the certificate."""
    report = expired_certificate()
    (endpoint,) = report.endpoints
    good = healthy_at("192.0.2.1").keys
    second = SecondLook(Means.UNVERIFIED, Answers(endpoint.tls, keys or good))
    deep = DeepLook(ENDED_AT, {}, srv=None)
    return replace(report, deep=deep, endpoints=(replace(endpoint, deep=EndpointDeepLook(second=second)),))


def nothing_resolved() -> Report:
    """Return the report of a name that does not exist: discovery ends at the name itself, which has no address."""
    server_name = names.parse("gone.example.org")
    target = Target(server_name.host, 8448)
    return Report(
        server_name=server_name,
        ended_at=ENDED_AT,
        seconds=0.125,
        well_known=Passed(0.01, Delegation(3600, absent_because=Reason.NXDOMAIN)),
        srv=Passed(0.02, SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: ()}, decided_by=None)),
        route=Route(Method.DEFAULT_8448, (target,), server_name.text, server_name.host, server_name.host),
        dns=Failed(0.03, (Problem(Reason.NXDOMAIN, "gone.example.org does not exist"),)),
        endpoints=(),
    )


def two_families() -> Report:
    """Return a report with two targets of legacy SRV records.

    Both are healthy over IPv4, with different certificates, and refuse connections over IPv6.
    """
    server_name = names.parse("dual.example.org")
    targets = tuple(Target(f"{label}.example.org", 8448) for label in ("one", "two"))
    records = tuple(SrvRecord(10, 5, target) for target in targets)
    ipv4 = [Endpoint(target, IPv4Address(f"192.0.2.{number}")) for number, target in enumerate(targets, 1)]
    ipv6 = [Endpoint(target, IPv6Address(f"2001:db8::{number}")) for number, target in enumerate(targets, 1)]
    refused: Failed[None] = Failed(0.5, (Problem(Reason.CONNECT_REFUSED, "connection refused"),))
    return Report(
        server_name=server_name,
        ended_at=ENDED_AT,
        seconds=0.75,
        well_known=Failed(0.1, (Problem(Reason.HTTP_STATUS, "expected 200, found 500"),), found=Delegation(3600)),
        srv=Passed(0.02, SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: records}, SrvService.MATRIX)),
        route=Route(Method.SRV_LEGACY, targets, server_name.text, server_name.host, server_name.host),
        dns=Passed(0.005, Resolution((*ipv4, *ipv6))),
        endpoints=(
            healthy(ipv4[0], tls_session(server_name.host, 60)),
            healthy(ipv4[1], tls_session(server_name.host, 20, "TLSv1.2")),
            *(EndpointReport(endpoint, tcp=refused) for endpoint in ipv6),
        ),
    )


def failed_srv_lookup() -> Report:
    """Return a report in which SRV fails: Synapse ends there, and Dendrite and the Conduit family use port 8448."""
    (target,) = targets = (Target("dual.example.org", 8448),)
    endpoint = healthy(Endpoint(target, IPv4Address("192.0.2.9")), tls_session(target.host))
    names_of_route = (target.host, target.host, target.host)
    way = Way(
        Route(Method.DEFAULT_8448, targets, *names_of_route),
        Passed(0.005, Resolution((endpoint.endpoint,))),
        (endpoint,),
    )
    failed: Failed[SrvRecords] = Failed(0.02, (Problem(Reason.DNS_FAILURE, "SERVFAIL"),))
    ended = LocatedProblem(Stage.SRV, None, failed.problems[0])
    return replace(
        two_families(),
        srv=failed,
        route=Route(Method.SRV_FED, (), *names_of_route),
        dns=SKIPPED,
        endpoints=(),
        detours={
            Implementation.SYNAPSE: Way(ended),
            Implementation.DENDRITE: way,
            Implementation.CONDUIT: way,
        },
    )


def faults_in_deep_look(minutes_ago: int = 12) -> Report:
    """Return `delegated_by_well_known` with a deep look full of faults.

    The proxy decodes paths, the addresses serve different well-knowns, and the SRV record leads to another target.
    """
    report = delegated_by_well_known()
    decoded = Problem(Reason.PATH_DECODED, "the path was decoded")
    look = EndpointDeepLook(Failed(0.06, (decoded,)), "http_status when Host is matrix.example.org:443")
    records = SrvRecords(
        {SrvService.MATRIX_FED: (SrvRecord(10, 5, Target("old.example.org", 8448)),)}, SrvService.MATRIX_FED
    )
    well_knowns = {"192.0.2.7:443": "matrix.example.org:443", "192.0.2.8:443": "old.example.org"}
    deep = DeepLook(ENDED_AT - timedelta(minutes=minutes_ago), well_knowns, records, support=SUPPORT)
    return replace(report, deep=deep, endpoints=tuple(replace(endpoint, deep=look) for endpoint in report.endpoints))
