"""What the evidence of a look says about the other direction. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from exporter.model.enums import OutboundMethod
from exporter.model.findings import CameBack
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import OutboundLook
from exporter.model.sanitize import printable
from exporter.outbound.peer import Arrival, Expectation, Purpose, Signature
from exporter.outbound.provoking import Provocation, Provoked
from exporter.outbound.signed import Accepted, SignedAnswer

_MAX_NAMES = 200  # characters of the names of notaries


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look brought back. Times are on the clock of the peer."""

    expected: Expectation
    provoked: Provocation | None
    """None if neither an alias nor a notary's query can make the server come."""
    provoked_at: float
    signed: SignedAnswer
    signed_at: float
    ended_at: float
    lookup: SignedAnswer | None = None
    """None unless the signed request arrived changed, and another one could be sent."""

    @property
    def accepted(self) -> Accepted:
        return self.signed.accepted

    @property
    def result(self) -> Provoked:
        return self.provoked.result if self.provoked else Provoked.UNSUPPORTED

    @property
    def fetched_itself(self) -> Arrival | None:
        """The request for the exporter's keys that bears the server's own signature, or None."""
        arrival = self.expected.came(Purpose.KEYS)
        return arrival if arrival and arrival.signature is Signature.GOOD else None

    def details(self) -> str:
        provoked = f"{self.provoked.detail}; " if self.provoked else ""
        return f"{provoked}{self.signed.detail}"


def judge(evidence: Evidence, made_at: datetime) -> OutboundLook:
    """Return the result of a look. It is inconclusive if nothing shows that the server came, or that it cannot."""
    outcome = _outcome(evidence)
    if outcome is not SKIPPED:
        refused = _signature_problem(evidence) if _stops_lookups(evidence) else None
        return OutboundLook(made_at, outcome, refused_lookup=refused)
    return OutboundLook(made_at, SKIPPED, evidence.details(), by_notary_only=_by_notary_only(evidence))


def _outcome(evidence: Evidence) -> Outcome[CameBack]:
    if problems := tuple(_problems(evidence)):
        return Failed(evidence.ended_at - evidence.provoked_at, problems, _came_back(evidence))
    came = _came_back(evidence)
    return Passed(_seconds(evidence, came.method), came) if came else SKIPPED


def _problems(evidence: Evidence) -> Iterator[Problem]:
    """Yield what is wrong. Of what follows from one fault, only the cause is named. There are five cases:

    - the server refuses the exporter's name, and therefore does not even try to come;
    - the exporter's signature did not arrive as it was sent;
    - the server's signature did not;
    - the server fetched the exporter's keys, which were good for minutes, and found none that is valid;
    - the server tried to come, and did not.
    """
    if evidence.accepted is Accepted.DENIED:
        yield Problem(Reason.FEDERATION_DENIED, evidence.signed.detail)
        return
    if problem := _signature_problem(evidence):
        yield problem
    alias = evidence.expected.came(Purpose.ALIAS)
    if alias and alias.signature is not Signature.GOOD:
        missing = alias.signature is Signature.MISSING
        reason = Reason.AUTHORIZATION_STRIPPED if missing else Reason.SIGNATURE_REJECTED
        yield Problem(reason, f"its own request arrives at the exporter, but {alias.complaint}")
    elif evidence.accepted is Accepted.NO_KEYS and evidence.fetched_itself:
        yield Problem(Reason.OUTBOUND_CLOCK, f"it fetched the exporter's keys, but {evidence.signed.detail}")
    elif _did_not_come(evidence):
        arrived = "its request arrived at the exporter, but the answer did not get back; " if alias else ""
        yield Problem(Reason.OUTBOUND_UNREACHABLE, f"{arrived}{evidence.details()}")


def _signature_problem(evidence: Evidence) -> Problem | None:
    """Return how the exporter's signed request arrived changed; None if it did not, or if that is not known."""
    if evidence.accepted is Accepted.NO_AUTHORIZATION:
        return Problem(Reason.AUTHORIZATION_STRIPPED, evidence.signed.detail)
    if evidence.accepted is not Accepted.BAD_SIGNATURE:
        return None
    which = "; it rejects a signed lookup too" if _stops_lookups(evidence) else ""
    return Problem(Reason.SIGNATURE_REJECTED, f"{evidence.signed.detail}{which}")


def _stops_lookups(evidence: Evidence) -> bool:
    """Whether no homeserver gets through, not even with a lookup. There are three cases:

    - no signed request keeps its Authorization header;
    - a lookup arrives changed, as the request before it;
    - anything else: if only paths are decoded, lookups get through, and joins and messages fail. A server that does not
      have the exporter's keys, or refuses the exporter's name, may accept others.
    """
    lookup = evidence.lookup.accepted if evidence.lookup else Accepted.UNKNOWN
    return Accepted.NO_AUTHORIZATION in (evidence.accepted, lookup) or lookup is Accepted.BAD_SIGNATURE


def _did_not_come(evidence: Evidence) -> bool:
    """Whether it tried to come, and did not. A server that was seen at the exporter is able to come."""
    tried = evidence.result is Provoked.NOTHING or (
        evidence.result is Provoked.UNSUPPORTED and evidence.accepted is Accepted.NO_KEYS
    )
    return tried and not evidence.fetched_itself


def _came_back(evidence: Evidence) -> CameBack | None:
    """Return how the server came. There are three cases:

    - it came back with what only it can know;
    - it fetched the exporter's keys under its own signature, and accepted what they sign;
    - neither: None.
    """
    if evidence.provoked and evidence.result is Provoked.CAME_BACK:
        method = evidence.provoked.method
        arrival = evidence.expected.came(Purpose.ALIAS if method is OutboundMethod.ALIAS else Purpose.KEYS)
        return CameBack(method, arrival.ip_family if arrival else None)
    if evidence.fetched_itself and evidence.accepted is Accepted.YES:
        return CameBack(OutboundMethod.SIGNED, evidence.fetched_itself.ip_family)
    return None


def _seconds(evidence: Evidence, method: OutboundMethod) -> float:
    """Return how long the server took to come."""
    asked_at = evidence.signed_at if method is OutboundMethod.SIGNED else evidence.provoked_at
    arrival = evidence.expected.came(Purpose.ALIAS if method is OutboundMethod.ALIAS else Purpose.KEYS)
    return max(0.0, (arrival.at if arrival else evidence.ended_at) - asked_at)


def _by_notary_only(evidence: Evidence) -> str | None:
    """Return who came in the server's place, although the server accepts what the exporter signs."""
    strangers = printable(", ".join(sorted(evidence.expected.strangers)), _MAX_NAMES)
    if evidence.accepted is not Accepted.YES or not strangers:
        return None
    return f"it accepts what the exporter signs, but only {strangers} asked for the exporter's keys"
