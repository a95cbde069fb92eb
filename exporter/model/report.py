"""The nouns. Everything here is frozen and knows nothing of any library."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from exporter.model.addresses import Endpoint
from exporter.model.enums import Stage
from exporter.model.findings import Delegation, Resolution, SigningKeys, Software, SrvRecords, TlsSession
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Outcome, Passed
from exporter.model.routes import Route

# ---------------------------------------------------------------- the report


@dataclass(frozen=True, slots=True)
class EndpointDeepLook:
    """The deep look at an endpoint."""

    proxy: Outcome[None]
    """Skipped where it was inconclusive."""
    host_with_port_differs: str | None = None
    """How, where the keys are another answer when `Host` bears the port."""


@dataclass(frozen=True, slots=True)
class NotaryResult:
    """What one notary said of the server's keys."""

    notary: ServerName
    outcome: Outcome[SigningKeys]
    """The keys that it gives out. Skipped where it was inconclusive."""
    inconclusive_because: str | None = None


@dataclass(frozen=True, slots=True)
class DeepLook:
    """What is looked at more rarely than all else: one more question to every address would be impolite each time."""

    made_at: datetime
    """UTC."""
    well_knowns: dict[str, str]
    """What each address of the server name answers for the well-known; those that answer nothing are missing."""
    srv: SrvRecords | None
    """The server name's own SRV records, where a well-known takes precedence."""
    notaries: tuple[NotaryResult, ...] = ()
    """In the order of the configuration."""


@dataclass(frozen=True, slots=True)
class EndpointReport:
    endpoint: Endpoint
    tcp: Outcome[None]
    tls: Outcome[TlsSession] = SKIPPED
    version: Outcome[Software] = SKIPPED
    keys: Outcome[SigningKeys] = SKIPPED
    deep: EndpointDeepLook | None = None
    """Of the latest deep look, which may be older than this report."""

    def outcomes(self) -> Iterator[tuple[Stage, Outcome[object]]]:
        yield Stage.TCP, self.tcp
        yield Stage.TLS, self.tls
        yield Stage.VERSION, self.version
        yield Stage.KEYS, self.keys
        if self.deep:
            yield Stage.PROXY, self.deep.proxy

    @property
    def ok(self) -> bool:
        """What the deep look found does not count: it may be an hour old."""
        return all(isinstance(outcome, Passed) for outcome in (self.tcp, self.tls, self.version, self.keys))


@dataclass(frozen=True, slots=True)
class Report:
    """All that one probe of one server saw. Verdicts are derived from it, in `verdict`."""

    server_name: ServerName
    ended_at: datetime
    """UTC."""
    seconds: float
    well_known: Outcome[Delegation]
    srv: Outcome[SrvRecords]
    route: Route
    dns: Outcome[Resolution]
    endpoints: tuple[EndpointReport, ...]
    deep: DeepLook | None = None
    """The latest one, which may be older than this report."""
    stalled_seconds: float = 0.0
    """Seconds for which our own event loop stood still meanwhile."""
    exporter_offline: bool = False
    """The exporter's own network was down: it says nothing about the server."""

    @property
    def timings_unreliable(self) -> bool:
        """The durations may tell of us, and not of the server."""
        return self.stalled_seconds > 0

    def with_deep_look_of(self, earlier: "Report | None") -> "Report":
        """With what an earlier report saw deep, where this probe did not look."""
        if self.deep or not (earlier and earlier.deep):
            return self
        seen = {report.endpoint: report.deep for report in earlier.endpoints}
        kept = tuple(replace(report, deep=seen.get(report.endpoint)) for report in self.endpoints)
        return replace(self, deep=earlier.deep, endpoints=kept)

    def outcomes(self) -> Iterator[tuple[Stage, Endpoint | None, Outcome[object]]]:
        """Every outcome, in the order of the stages; from `tcp` on with its endpoint."""
        yield Stage.WELL_KNOWN, None, self.well_known
        yield Stage.SRV, None, self.srv
        yield Stage.DNS, None, self.dns
        for report in self.endpoints:
            for stage, outcome in report.outcomes():
                yield stage, report.endpoint, outcome
        for look in self.deep.notaries if self.deep else ():
            yield Stage.NOTARY, None, look.outcome
