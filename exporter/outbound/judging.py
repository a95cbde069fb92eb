"""Judges the other direction by the evidence of a look. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.model.enums import IPFamily, OutboundMethod
from exporter.model.findings import CameBack
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import ByName, OutboundLook
from exporter.model.sanitize import printable
from exporter.outbound.peer import Arrival, Expectation, Peer, Purpose, Signature
from exporter.outbound.provoking import Provocation, Provoked
from exporter.outbound.signed import Accepted, SignedAnswer

_MAX_NAMES = 200  # characters of the names of notaries


@dataclass(slots=True)
class Evidence:
    """What one look has brought back under one name of the exporter so far. Times are on the clock of the peer."""

    peer: Peer
    expected: Expectation
    provoked: Provocation | None = None
    """None if neither an alias nor a notary's query can make the server come, or it was not asked under this name."""
    provoked_at: float = 0.0
    signed: SignedAnswer | None = None
    """None if the signed request went under another name."""
    signed_at: float = 0.0
    lookup: SignedAnswer | None = None
    """None unless the signed request arrived changed, and another one could be sent."""
    ended_at: float = 0.0

    @property
    def accepted(self) -> Accepted:
        return self.signed.accepted if self.signed else Accepted.UNKNOWN

    @property
    def result(self) -> Provoked:
        return self.provoked.result if self.provoked else Provoked.UNSUPPORTED

    @property
    def fetched_itself(self) -> Arrival | None:
        """The request for the exporter's keys that the server itself has signed; None if there is none."""
        arrival = self.expected.came(Purpose.KEYS)
        return arrival if arrival and arrival.signature is Signature.GOOD else None

    def details(self) -> str:
        answers = (self.provoked, self.signed)
        return "; ".join(answer.detail for answer in answers if answer)


def judge(evidence: Sequence[Evidence], made_at: datetime, earlier: OutboundLook | None = None) -> OutboundLook:
    """Return the result of a look under one or more names of the exporter.

    It is inconclusive if nothing shows whether the server can connect to the exporter. For a name about which this look
    is inconclusive, the result of the look before counts.
    """
    by_name = tuple(_by_name(each, made_at, earlier) for each in evidence)
    outcome = _combine([each.outcome for each in by_name])
    if outcome is not SKIPPED:
        refused = next((_signature_problem(each) for each in evidence if _stops_lookups(each)), None)
        return OutboundLook(made_at, outcome, refused_lookup=refused, by_name=by_name)
    details = "; ".join(filter(None, (each.details() for each in evidence))) or "it could not be asked"
    by_notary_only = next(filter(None, map(_by_notary_only, evidence)), None)
    return OutboundLook(made_at, SKIPPED, details, by_notary_only=by_notary_only, by_name=by_name)


def _by_name(evidence: Evidence, made_at: datetime, earlier: OutboundLook | None) -> ByName:
    """Return the result for one name, or else whether the server connected to it in the look before."""
    found_now = ByName(evidence.peer.ip_family, made_at, _outcome(evidence))
    if found_now.outcome is not SKIPPED or earlier is None:
        return found_now
    before = (each for each in earlier.by_name if each.ip_family is found_now.ip_family)
    return next((each for each in before if each.made_at == earlier.made_at and _tells_nothing_else(each)), found_now)


def _tells_nothing_else(result: ByName) -> bool:
    """Whether a result is only about connections. Everything else would show again, under any name."""
    return isinstance(result.outcome, Passed) or _reasons(result.outcome) == {Reason.OUTBOUND_UNREACHABLE}


def _combine(outcomes: Sequence[Outcome[CameBack]]) -> Outcome[CameBack]:
    """Return the outcome of a look under several names. There are four cases:

    - for one of them, something other than the connection is wrong: that is wrong for all of them;
    - the server connects to one of them: it can reach others, if only over one IP family;
    - it connects to none of them: it can reach nobody;
    - it does not connect to one, and nothing is known about another: inconclusive.
    """
    failed = [each for each in outcomes if isinstance(each, Failed)]
    problems = {problem.reason: problem for each in reversed(failed) for problem in each.problems}
    if not all(Reason.OUTBOUND_UNREACHABLE in _reasons(each) for each in outcomes):
        problems.pop(Reason.OUTBOUND_UNREACHABLE, None)
    if problems:
        return Failed(max(each.seconds for each in failed), tuple(problems.values()), failed[0].found)
    return next((each for each in outcomes if isinstance(each, Passed)), SKIPPED)


def _reasons(outcome: Outcome[CameBack]) -> set[Reason]:
    return {problem.reason for problem in outcome.problems} if isinstance(outcome, Failed) else set()


def _outcome(evidence: Evidence) -> Outcome[CameBack]:
    """Return the outcome for one name."""
    if problems := tuple(_problems(evidence)):
        asked_at = evidence.provoked_at if evidence.provoked else evidence.signed_at
        return Failed(evidence.ended_at - asked_at, problems, _came_back(evidence))
    came = _came_back(evidence)
    return Passed(_seconds(evidence, came.method), came) if came else SKIPPED


def _problems(evidence: Evidence) -> Iterator[Problem]:
    """Yield the problems, without those that follow from another one. There are five cases:

    - the server refuses the exporter's name, so it does not even try to connect;
    - what the exporter signed arrived changed;
    - what the server signed arrived changed;
    - the server fetched the exporter's keys, which were valid for minutes, and found them expired;
    - the server tried to connect, and failed.
    """
    if evidence.accepted is Accepted.DENIED:
        yield Problem(Reason.FEDERATION_DENIED, _detail(evidence))
        return
    if problem := _signature_problem(evidence):
        yield problem
    alias = evidence.expected.came(Purpose.ALIAS)
    if alias and alias.signature is not Signature.GOOD:
        missing = alias.signature is Signature.MISSING
        reason = Reason.AUTHORIZATION_STRIPPED if missing else Reason.SIGNATURE_REJECTED
        yield Problem(reason, f"its own request arrives at the exporter, but {alias.complaint}")
    elif evidence.accepted is Accepted.NO_KEYS and evidence.fetched_itself:
        yield Problem(Reason.OUTBOUND_CLOCK, f"it fetched the exporter's keys, but {_detail(evidence)}")
    elif _did_not_come(evidence):
        arrived = "its request arrived at the exporter, but the answer did not get back; " if alias else ""
        yield Problem(Reason.OUTBOUND_UNREACHABLE, f"{arrived}{evidence.details()}")


def _signature_problem(evidence: Evidence) -> Problem | None:
    """Return how the exporter's signed request arrived changed; None if it did not, or if that is not known."""
    if evidence.accepted is Accepted.NO_AUTHORIZATION:
        return Problem(Reason.AUTHORIZATION_STRIPPED, _detail(evidence))
    if evidence.accepted is not Accepted.BAD_SIGNATURE:
        return None
    which = "; it rejects a signed lookup too" if _stops_lookups(evidence) else ""
    return Problem(Reason.SIGNATURE_REJECTED, f"{_detail(evidence)}{which}")


def _stops_lookups(evidence: Evidence) -> bool:
    """Whether no homeserver gets through, not even with a lookup. There are three cases:

    - a signed request loses its Authorization header: so does every other one;
    - a signed lookup arrives changed, like the request before it;
    - anything else: lookups may get through. If only paths are decoded, just joins and messages fail, and a server that
      refuses the exporter's name, or cannot fetch its keys, may accept others.
    """
    lookup = evidence.lookup.accepted if evidence.lookup else Accepted.UNKNOWN
    return Accepted.NO_AUTHORIZATION in (evidence.accepted, lookup) or lookup is Accepted.BAD_SIGNATURE


def _did_not_come(evidence: Evidence) -> bool:
    """Whether the server tried to connect, and failed. A server that fetched the keys itself can connect."""
    tried = evidence.result is Provoked.NOTHING or (
        evidence.result is Provoked.UNSUPPORTED and evidence.accepted is Accepted.NO_KEYS
    )
    return tried and not evidence.fetched_itself


def _came_back(evidence: Evidence) -> CameBack | None:
    """Return how the server connected. There are three cases:

    - it returned something that it can only have got from the exporter;
    - it fetched the exporter's keys with a signed request, and accepted a signature by them;
    - neither: None.
    """
    if evidence.provoked and evidence.result is Provoked.CAME_BACK:
        method = evidence.provoked.method
        arrival = evidence.expected.came(Purpose.ALIAS if method is OutboundMethod.ALIAS else Purpose.KEYS)
        return CameBack(method, _ip_family(evidence, arrival))
    if evidence.fetched_itself and evidence.accepted is Accepted.YES:
        return CameBack(OutboundMethod.SIGNED, _ip_family(evidence, evidence.fetched_itself))
    return None


def _ip_family(evidence: Evidence, arrival: Arrival | None) -> IPFamily | None:
    """Return the family of the name, which is also known behind a reverse proxy, or else that of the connection."""
    return evidence.peer.ip_family or (arrival.ip_family if arrival else None)


def _seconds(evidence: Evidence, method: OutboundMethod) -> float:
    """Return how many seconds passed until the server connected."""
    asked_at = evidence.signed_at if method is OutboundMethod.SIGNED else evidence.provoked_at
    arrival = evidence.expected.came(Purpose.ALIAS if method is OutboundMethod.ALIAS else Purpose.KEYS)
    return max(0.0, (arrival.at if arrival else evidence.ended_at) - asked_at)


def _detail(evidence: Evidence) -> str:
    return evidence.signed.detail if evidence.signed else ""


def _by_notary_only(evidence: Evidence) -> str | None:
    """Return which other servers requested the keys, if the server accepts the exporter's signature nevertheless."""
    strangers = printable(", ".join(sorted(evidence.expected.strangers)), _MAX_NAMES)
    if evidence.accepted is not Accepted.YES or not strangers:
        return None
    return f"it accepts what the exporter signs, but only {strangers} asked for the exporter's keys"
