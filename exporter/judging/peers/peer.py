"""How homeservers get to a server, from a finished report to the verdict of one implementation. Pure.

What an implementation does differently stands in a module of its own, with its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from exporter.model import names, routes
from exporter.model.enums import Implementation, Means, Oddity, SrvService, Stage
from exporter.model.findings import Delegation, HttpShape, SrvRecord, SrvRecords, TlsSession, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Outcome, Problem, Skipped, found
from exporter.model.reasons import Reason
from exporter.model.report import Answers, EndpointReport, LocatedProblem, Report, Way
from exporter.model.routes import Route

_OLD_TLS_VERSIONS: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
_FATAL_FOR_KEYS: Final = frozenset({Reason.SERVER_NAME_MISMATCH, Reason.KEY_EXPIRED, Reason.NO_SIGNING_KEY})

Refusals: TypeAlias = Mapping[Oddity, str]


@dataclass(frozen=True, slots=True)
class PeerVerdict:
    """Whether an implementation gets through. `problem` is what stops it first."""

    federates: bool
    problem: LocatedProblem | None = None


class Peer:
    """One implementation of a homeserver: its limits as attributes, its decisions as methods."""

    implementation: ClassVar[Implementation]
    name: ClassVar[str]
    """As people write it."""
    max_redirects: ClassVar[int]
    max_well_known_bytes: ClassVar[int]
    max_header_line_bytes: ClassVar[int | None] = None
    max_header_lines: ClassVar[int | None] = None
    refused_in_well_known: ClassVar[frozenset[Oddity]] = frozenset(
        {Oddity.GZIPPED, Oddity.BYTE_ORDER_MARK, Oddity.TRAILING_DATA}
    )
    ciphers: ClassVar[frozenset[str] | None] = None
    """The cipher suites that it offers in TLS 1.2, by OpenSSL's names; None: all that OpenSSL offers by default."""
    refused_leaf_keys: ClassVar[frozenset[str]] = frozenset()
    """The kinds and curves of a leaf's key that it does not know."""
    second_looks: ClassVar[frozenset[Means]] = frozenset()
    """The second looks that show what it meets where the first one could not."""
    refused_keys: ClassVar[Refusals] = {}
    """For what it refuses a document of signing keys that verifies, in words."""

    # ------------------------------------------------------------ discovery

    def route(
        self, name: ServerName, well_known: Outcome[Delegation], srv: SrvRecords | None
    ) -> Route | LocatedProblem:
        """Return where it goes, or what ends its discovery. `srv` are the records of `srv_host`."""
        delegated = self.delegated_server(well_known)
        if isinstance(delegated, LocatedProblem):
            return delegated
        usable = self.usable_srv(srv)
        if isinstance(usable, LocatedProblem):
            return usable
        return routes.plan(name, delegated, usable)

    def srv_host(self, name: ServerName, well_known: Outcome[Delegation]) -> str | None:
        """Return whose SRV records it asks for, None where it asks for none."""
        delegated = self.delegated_server(well_known)
        return None if isinstance(delegated, LocatedProblem) else routes.srv_host(name, delegated)

    def delegated_server(self, well_known: Outcome[Delegation]) -> ServerName | LocatedProblem | None:
        """There are three cases: the well-known delegates, it ends the search, or the peer falls back (None)."""
        delegation = found(well_known)
        response = delegation.response if delegation else None
        if delegation is None or response is None or not self.reads(response):
            return None
        if delegation.tls_session and self.session_refusal(delegation.tls_session):
            return None
        text = self.m_server(response)
        return self.parse_m_server(text) if text else self.without_m_server(response)

    def reads(self, response: WellKnownResponse) -> bool:
        return (
            response.status == 200
            and response.is_object
            and not response.oddities & self.refused_in_well_known
            and response.redirects <= self.max_redirects
            and response.body_bytes <= self.max_well_known_bytes
            and self.header_fault(response.shape) is None
        )

    def m_server(self, response: WellKnownResponse) -> str | None:
        """Return its text; None where there is none."""
        return response.m_server

    def without_m_server(self, _response: WellKnownResponse) -> LocatedProblem | None:
        """Fall back where `m.server` is missing, empty or not a text."""
        return None

    def parse_m_server(self, text: str) -> ServerName | LocatedProblem | None:
        try:
            return names.parse(text)
        except names.InvalidServerNameError as error:
            return self.refuse_m_server(text, str(error))

    def refuse_m_server(self, text: str, why: str) -> LocatedProblem:
        """The specification says to fall back from a text that is not a server name; no implementation does."""
        detail = f"{self.name} does not fall back from m.server {text!r}: {why}"
        return LocatedProblem(Stage.WELL_KNOWN, None, Problem(Reason.INVALID_DELEGATION, detail))

    def usable_srv(self, seen: SrvRecords | None) -> SrvRecords | LocatedProblem | None:
        """Return the records that it goes by, or what ends its search. The first service that says anything decides."""
        for service in SrvService if seen else ():
            assert seen is not None
            if failure := seen.failures.get(service):
                return self.after_srv_failure(failure)
            if service in seen.unavailable:
                detail = f"the target of _{service}._tcp is '.': there is no such service"
                return LocatedProblem(Stage.SRV, None, Problem(Reason.SRV_SERVICE_UNAVAILABLE, detail))
            if records := seen.records.get(service):
                return _with_target(self.choose_records(service, records))
        return SrvRecords({}, None) if seen else None

    def after_srv_failure(self, _failure: Problem) -> SrvRecords | LocatedProblem:
        """Go on as if there were no record, to port 8448."""
        return SrvRecords({}, None)

    def choose_records(self, service: SrvService, records: tuple[SrvRecord, ...]) -> SrvRecords | LocatedProblem:
        return SrvRecords({service: records}, service)

    # ------------------------------------------------------------ the verdict

    def verdict(self, report: Report) -> PeerVerdict:
        """Follow it through discovery to an endpoint of a target, then through TLS, the keys and its requests.

        A target is given up for the next one where none of its addresses accepts a connection. Of several addresses
        that accept, chance decides: one that works is enough here, and the warning `no_failover` tells the rest.
        """
        way = report.way_of(self.implementation)
        if isinstance(way.route, LocatedProblem):
            return PeerVerdict(federates=False, problem=way.route)
        problem: LocatedProblem | None = None
        for target in way.route.targets:
            endpoints = [each for each in way.endpoints if each.endpoint.target == target]
            tried = preferred_endpoints(endpoints)
            faults = [self.endpoint_fault(each) or _keys_of_another(each, endpoints) for each in tried]
            if tried and None in faults:
                refused = _refused_lookup(report, way)
                return PeerVerdict(federates=refused is None, problem=refused)
            problem = problem or next(iter(faults), None)
            if tried and not self.goes_on_after(tried):
                break
        return PeerVerdict(federates=False, problem=problem or _not_reached(way))

    def goes_on_after(self, _tried: Sequence[EndpointReport]) -> bool:
        """Whether it tries the next SRV target when addresses accepted the connection and then failed."""
        return False

    def endpoint_fault(self, seen: EndpointReport) -> LocatedProblem | None:
        """Return what stops it at an endpoint that accepts connections, in the order of the stages."""
        answers = self.answers(seen)
        return self.tls_fault(seen, answers.tls) or self.keys_fault(seen, answers) or self.lookup_fault(seen, answers)

    def answers(self, seen: EndpointReport) -> Answers:
        """Return what it is answered: by the second look where only that shows it."""
        second = seen.second_look
        return second.answers if second and second.means in self.second_looks else seen.answers

    def tls_fault(self, seen: EndpointReport, outcome: Outcome[TlsSession]) -> LocatedProblem | None:
        session = found(outcome)
        problems = outcome.problems if isinstance(outcome, Failed) else ()
        if minded := [problem for problem in problems if not self.tolerates(problem)]:
            return _at(seen, Stage.TLS, minded[0])
        if session is None:
            return _at(seen, Stage.TLS, problems[0]) if problems else None
        return self.session_fault(seen, session)

    def tolerates(self, _problem: Problem) -> bool:
        """Whether it does not mind a problem that the stage `tls` has."""
        return False

    def session_fault(self, seen: EndpointReport, session: TlsSession) -> LocatedProblem | None:
        """Return what stops it in a session with an endpoint whose certificate it accepts."""
        problem = self.session_refusal(session)
        return _at(seen, Stage.TLS, problem) if problem else None

    def session_refusal(self, session: TlsSession) -> Problem | None:
        """Return what stops it in a session, with an endpoint or for the well-known."""
        if session.tls_version in _OLD_TLS_VERSIONS:
            why = f"{self.name} needs TLS 1.2 or later, the server offers {session.tls_version} at most"
            return Problem(Reason.TLS_HANDSHAKE, why)
        if session.tls_version == "TLSv1.2" and session.cipher and not self.offers(session.cipher):
            why = f"{self.name} does not offer {session.cipher}, the cipher suite that the server chooses"
            return Problem(Reason.TLS_HANDSHAKE, why)
        if (key := session.leaf_key) and (kind := key.curve or key.kind) in self.refused_leaf_keys:
            why = f"{self.name} does not accept certificates with a key of the kind {kind}"
            return Problem(Reason.CERTIFICATE_INVALID, why)
        return None

    def offers(self, cipher: str) -> bool:
        """Whether it offers a cipher suite in TLS 1.2, which has its name of OpenSSL."""
        return self.ciphers is None or cipher in self.ciphers

    def lookup_fault(self, seen: EndpointReport, answers: Answers) -> LocatedProblem | None:
        """Return why its requests do not reach the homeserver."""
        return _at(seen, Stage.PROXY, answers.lookup_fault) if answers.lookup_fault else None

    def header_fault(self, shape: HttpShape | None) -> Problem | None:
        if shape is None:
            return None
        if self.max_header_line_bytes is not None and shape.longest_line > self.max_header_line_bytes:
            why = f"{self.name} reads header lines of {self.max_header_line_bytes} bytes, found {shape.longest_line}"
            return Problem(Reason.TOO_LARGE, why)
        if self.max_header_lines is not None and shape.lines > self.max_header_lines:
            why = f"{self.name} reads {self.max_header_lines} header lines, found {shape.lines}"
            return Problem(Reason.TOO_LARGE, why)
        return None

    def keys_fault(self, seen: EndpointReport, answers: Answers) -> LocatedProblem | None:
        """Return why it does not accept the signing keys.

        Nobody asked for them where TLS has a problem that it tolerates, until a deep look does.
        """
        if problem := self.header_fault(answers.shape):
            return _at(seen, Stage.KEYS, problem)
        if isinstance(answers.keys, Skipped) and isinstance(answers.tls, Failed):
            return _at(seen, Stage.TLS, answers.tls.problems[0])
        published = found(answers.keys)
        problems = answers.keys.problems if isinstance(answers.keys, Failed) else ()
        if published is None or not published.keys:
            return _at(seen, Stage.KEYS, problems[0]) if problems else None
        if fatal := [problem for problem in problems if problem.reason in _FATAL_FOR_KEYS]:
            return _at(seen, Stage.KEYS, fatal[0])
        refused = published.oddities & self.refused_keys.keys()
        if not refused:
            return None
        first = next(oddity for oddity in Oddity if oddity in refused)
        why = f"{self.name} refuses the keys: {self.refused_keys[first]}"
        return _at(seen, Stage.KEYS, Problem(Reason.INVALID_CONTENT, why))


def _with_target(chosen: SrvRecords | LocatedProblem) -> SrvRecords | LocatedProblem:
    """Return the records that were chosen if any of them has a port where something can listen."""
    if isinstance(chosen, LocatedProblem) or routes.srv_targets(chosen):
        return chosen
    return LocatedProblem(Stage.SRV, None, Problem(Reason.SRV_PORT_ZERO, "the records have port 0"))


def preferred_endpoints(endpoints: Sequence[EndpointReport]) -> list[EndpointReport]:
    """Return those of a target that a dual-stack peer takes one of (RFC 8305): accepting decides, IPv6 comes first."""
    accepting = [each for each in endpoints if each.accepts]
    families = [each.endpoint.ip.version for each in accepting]
    return [each for each in accepting if each.endpoint.ip.version == max(families)]


def _keys_of_another(seen: EndpointReport, endpoints: Sequence[EndpointReport]) -> LocatedProblem | None:
    """Return the problem where the other IP family leads to keys of which none is the same.

    A server signs with one set of keys, and nobody can see from outside with which. Of the machines, the one that peers
    take is more often the forgotten one.
    """
    ours = _keys(seen)
    for other in endpoints:
        theirs = _keys(other)
        if other.endpoint.ip.version != seen.endpoint.ip.version and ours and theirs and not ours & theirs:
            why = f"{other.endpoint.address} publishes other keys: peers reject what the server signs with those"
            return _at(seen, Stage.KEYS, Problem(Reason.SIGNATURE_INVALID, why))
    return None


def _refused_lookup(report: Report, way: Way) -> LocatedProblem | None:
    """Return why its signed lookups do not get through, if the exporter's own have shown that at the same endpoints.

    A signed request looks the same whoever sends it, so what happens to the exporter's happens to all of them.
    """
    problem = report.outbound.refused_lookup if report.outbound else None
    looked_at = {seen.endpoint for seen in report.endpoints}
    if problem is None or looked_at.isdisjoint(seen.endpoint for seen in way.endpoints):
        return None
    return LocatedProblem(Stage.OUTBOUND, None, problem)


def _keys(seen: EndpointReport) -> set[tuple[str, str]]:
    published = found(seen.keys)
    return set(published.keys.items()) if published else set()


def _at(seen: EndpointReport, stage: Stage, problem: Problem) -> LocatedProblem:
    return LocatedProblem(stage, seen.endpoint, problem)


def _not_reached(way: Way) -> LocatedProblem | None:
    """Return why no endpoint accepts a connection."""
    for each in way.endpoints:
        stage, outcome = each.connecting
        if isinstance(outcome, Failed):
            return _at(each, stage, outcome.problems[0])
    return LocatedProblem(Stage.DNS, None, way.dns.problems[0]) if isinstance(way.dns, Failed) else None
