"""The report of a probe, and what deep looks add to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from exporter.model.addresses import Endpoint
from exporter.model.enums import Implementation, IPFamily, Means, Stage
from exporter.model.findings import (
    CameBack,
    Delegation,
    HttpShape,
    Resolution,
    SigningKeys,
    Software,
    SrvRecords,
    Support,
    TlsSession,
)
from exporter.model.names import ServerName
from exporter.model.outcomes import (
    SKIPPED,
    Failed,
    Outcome,
    Passed,
    Problem,
    ResponseSummary,
    Skipped,
    UnexpectedResponse,
)
from exporter.model.reasons import Reason
from exporter.model.routes import Route


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem with the stage and, from `tcp` on, the endpoint that it was found at."""

    stage: Stage
    endpoint: Endpoint | None
    problem: Problem


@dataclass(frozen=True, slots=True)
class Answers:
    """What one look at an endpoint shows of it, as far as peers depend on it."""

    tls: Outcome[TlsSession] = SKIPPED
    keys: Outcome[SigningKeys] = SKIPPED
    shape: HttpShape | None = None
    """Of the response for the keys."""
    directory: ResponseSummary | None = None
    """Of the request for a room alias, which peers send before any other."""

    @property
    def reached(self) -> bool:
        """Whether a request for a room alias reaches the homeserver."""
        return self.directory is not None and self.directory.reached

    @property
    def lookup_fault(self) -> UnexpectedResponse | None:
        """Why a request for a room alias does not reach the homeserver; None if it does, or if nothing came back."""
        if self.directory is None or self.directory.reached:
            return None
        detail = f"a request for a room alias returns {self.directory}"
        return UnexpectedResponse(Reason.NOT_FORWARDED, detail, self.directory)


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What a deep look found by other means where the probe did not get through."""

    means: Means
    answers: Answers


@dataclass(frozen=True, slots=True)
class EndpointDeepLook:
    """What a deep look found at one endpoint."""

    proxy: Outcome[None] = SKIPPED
    """Skipped if it was inconclusive."""
    host_with_port_differs: str | None = None
    """How the response for the keys differs when `Host` contains the port; None if it does not."""
    directory: ResponseSummary | None = None
    second: SecondLook | None = None
    http2_broken: bool = False
    """The server selects HTTP/2 and does not speak it."""


@dataclass(frozen=True, slots=True)
class NotaryResult:
    """What one notary says about the server's keys."""

    notary: ServerName
    outcome: Outcome[SigningKeys]
    """The keys that it returns. Skipped if it was inconclusive."""
    inconclusive_because: str | None = None


@dataclass(frozen=True, slots=True)
class DeepLook:
    """What is checked more rarely than the rest: to send these requests with every probe would be impolite."""

    made_at: datetime
    """UTC."""
    well_knowns: Mapping[str, str]
    """What each address of the server name returns for the well-known; an address that returns nothing is missing, and
    so is the only one."""
    srv: SrvRecords | None
    """The server name's own SRV records, if a well-known takes precedence over them."""
    notaries: tuple[NotaryResult, ...] = ()
    """In the order of the configuration."""
    well_known_over: Mapping[IPFamily, Outcome[Delegation]] = field(default_factory=dict)
    """The well-known as a peer sees it that has only one IP family. Empty unless the endpoints accept connections over
    both."""
    support: Support | None = None
    """Whom to contact about the server. None if it does not say so."""


@dataclass(frozen=True, slots=True)
class ByName:
    """Whether the server reaches the exporter under one of the exporter's names."""

    ip_family: IPFamily | None
    """Of all addresses of the name; None if it has those of both."""
    made_at: datetime
    """UTC."""
    outcome: Outcome[CameBack]
    """Skipped if it was inconclusive."""


@dataclass(frozen=True, slots=True)
class OutboundLook:
    """Whether the server reaches the exporter when it is made to: joining a room needs connections both ways."""

    made_at: datetime
    """UTC."""
    outcome: Outcome[CameBack] = SKIPPED
    """Skipped if it was inconclusive."""
    inconclusive_because: str | None = None
    asked: bool = True
    """Whether the server was sent anything: it is not while the exporter's own listener cannot be reached."""
    by_notary_only: str | None = None
    """Who fetched the exporter's keys in the server's place, in a sentence; None unless it did not come itself."""
    refused_lookup: Problem | None = None
    """Why no lookup that a homeserver signs gets through to the server, as the exporter's own did not. None if they do,
    or if that is not known. An allow-list without the exporter does not count: it only stops the exporter."""
    by_name: tuple[ByName, ...] = ()
    """One for each name that the exporter uses. Where this look is inconclusive, it is the result of the one before."""

    @property
    def by_family(self) -> dict[IPFamily, Outcome[CameBack]]:
        """Return the outcome for each IP family that the exporter has a name for."""
        return {family: each.outcome for family in IPFamily for each in self.by_name if each.ip_family is family}


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """What one probe found at one endpoint."""

    endpoint: Endpoint
    tcp: Outcome[None]
    """Skipped if the exporter connects through a proxy: then it learns nothing about TCP to the endpoint."""
    tls: Outcome[TlsSession] = SKIPPED
    version: Outcome[Software] = SKIPPED
    keys: Outcome[SigningKeys] = SKIPPED
    keys_shape: HttpShape | None = None
    """The headers of the response for the keys."""
    deep: EndpointDeepLook | None = None
    """The latest deep look at this endpoint, which may be older than this report."""
    tunnel: Outcome[str] = SKIPPED
    """Whether the exporter's proxy connects to it, and which proxy. Skipped if there is none."""

    @property
    def connecting(self) -> tuple[Stage, Outcome[object]]:
        """The first stage, by which the exporter connects, with its outcome."""
        return (Stage.TCP, self.tcp) if isinstance(self.tunnel, Skipped) else (Stage.TUNNEL, self.tunnel)

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections."""
        return isinstance(self.connecting[1], Passed)

    def probe_outcomes(self) -> tuple[tuple[Stage, Outcome[object]], ...]:
        """Return the stages of the probe itself, in order, with their outcomes."""
        return self.connecting, (Stage.TLS, self.tls), (Stage.VERSION, self.version), (Stage.KEYS, self.keys)

    def outcomes(self) -> Iterator[tuple[Stage, Outcome[object]]]:
        """Yield every stage in order with its outcome, those of the deep look included."""
        yield from self.probe_outcomes()
        if self.deep:
            yield Stage.PROXY, self.deep.proxy

    @property
    def answers(self) -> Answers:
        """What the probe and the deep look show of it, without a second look."""
        return Answers(self.tls, self.keys, self.keys_shape, self.deep.directory if self.deep else None)

    @property
    def second_look(self) -> SecondLook | None:
        """What the deep look found by other means. None if it had to look past TLS, which does not fail by now."""
        second = self.deep.second if self.deep else None
        looked_past_tls = second is not None and second.means is not Means.HOMESERVER_AGENT
        return None if looked_past_tls and not isinstance(self.tls, Failed) else second

    @property
    def keys_behind_bad_certificate(self) -> Outcome[SigningKeys]:
        """The keys that a deep look fetched over a connection whose certificate does not verify. Nobody may use them.

        Skipped if the certificate verifies by now.
        """
        second = self.second_look
        return second.answers.keys if second and second.means is Means.UNVERIFIED else SKIPPED

    @property
    def lacks_keys_behind_bad_certificate(self) -> bool:
        """Whether the certificate did not verify, and no deep look has requested the keys behind it yet."""
        session = self.tls.found if isinstance(self.tls, Failed) else None
        unverified = session is not None and not session.certificate.valid
        return unverified and isinstance(self.keys_behind_bad_certificate, Skipped)

    @property
    def filtered(self) -> bool:
        """Whether requests reach the homeserver only with the User-Agent of one."""
        second = self.second_look
        if second is None or second.means is not Means.HOMESERVER_AGENT:
            return False
        return second.answers.reached and not self.answers.reached

    @property
    def ok(self) -> bool:
        """Whether the endpoint passed every stage of the probe.

        The deep look does not count: it may be an hour old.
        """
        return all(isinstance(outcome, Passed) for _, outcome in self.probe_outcomes())


@dataclass(frozen=True, slots=True)
class Way:
    """Where discovery leads an implementation, and what is found there."""

    route: Route | LocatedProblem
    """A problem if its discovery ends there."""
    dns: Outcome[Resolution] = SKIPPED
    endpoints: tuple[EndpointReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one probe of one server found. `judging.verdict` derives verdicts from it."""

    server_name: ServerName
    ended_at: datetime
    """UTC."""
    seconds: float
    well_known: Outcome[Delegation]
    srv: Outcome[SrvRecords]
    route: Route
    dns: Outcome[Resolution]
    endpoints: tuple[EndpointReport, ...]
    detours: Mapping[Implementation, Way] = field(default_factory=dict)
    """The way of each implementation that goes another one than the specification."""
    deep: DeepLook | None = None
    """The latest deep look, which may be older than this report."""
    outbound: OutboundLook | None = None
    """The latest look at the other direction, which may be older than this report. None if it is not configured."""
    stalled_seconds: float = 0.0
    """Seconds for which the exporter's own event loop was stalled during the probe."""
    cpu_seconds: float = 0.0
    """CPU time of the exporter that the probe took, and the deep look if it was made with it."""
    exporter_offline: bool = False
    """The exporter's own network was down or lacks the server's IP family, or its proxy failed: the report says nothing
    about the server."""

    @property
    def timings_unreliable(self) -> bool:
        """Whether the durations may reflect the exporter's own delays instead of the server's."""
        return self.stalled_seconds > 0

    def way_of(self, implementation: Implementation) -> Way:
        return self.detours.get(implementation) or Way(self.route, self.dns, self.endpoints)

    def with_looks_from(self, earlier: "Report | None") -> "Report":
        """Return this report with the rarer looks of an earlier one, unless it has its own or there are none."""
        if earlier is None:
            return self
        report = replace(self, outbound=earlier.outbound) if earlier.outbound and not self.outbound else self
        if self.deep or not earlier.deep:
            return report
        by_endpoint = {seen.endpoint: seen.deep for seen in earlier.endpoints}
        endpoints = tuple(replace(seen, deep=by_endpoint.get(seen.endpoint)) for seen in self.endpoints)
        return replace(report, deep=earlier.deep, endpoints=endpoints)

    def discovery_outcomes(self) -> tuple[tuple[Stage, Outcome[object]], ...]:
        """Return the stages of server discovery, in order, with their outcomes."""
        return (Stage.WELL_KNOWN, self.well_known), (Stage.SRV, self.srv), (Stage.DNS, self.dns)

    def outcomes(self) -> Iterator[tuple[Stage, Endpoint | None, Outcome[object]]]:
        """Yield every stage with its outcome, in order. From `tcp` to `proxy` it comes with its endpoint."""
        for stage, outcome in self.discovery_outcomes():
            yield stage, None, outcome
        for report in self.endpoints:
            for stage, outcome in report.outcomes():
                yield stage, report.endpoint, outcome
        for result in self.deep.notaries if self.deep else ():
            yield Stage.NOTARY, None, result.outcome
        if self.outbound:
            yield Stage.OUTBOUND, None, self.outbound.outcome
