"""Stage `srv`: the SRV records of both services (server-server API, 2.1, steps 3.3, 3.4, 4 and 5; RFC 2782)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from exporter.model.enums import SrvService
from exporter.model.findings import Resolution, SrvRecord, SrvRecords
from exporter.model.outcomes import Failed, Outcome, Passed, Problem, Skipped
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.attempt import Failure
from exporter.probing.network import Network
from exporter.probing.problems import Step

MAX_RECORDS = 16  # of one service: every target is resolved and dialled
_NO_SERVICE = "."  # as a target: "the service is decidedly not available" (RFC 2782)

SrvLookups: TypeAlias = Mapping[SrvService, tuple[SrvRecord, ...] | BaseException]

# The lookup gave nothing to go by: a peer stops here, and does not fall back to port 8448.
UNANSWERED = SrvRecords({}, decided_by=SrvService.MATRIX_FED)


async def fetch(network: Network, host: str) -> SrvLookups:
    """Both services at once: the second one matters where the first has nothing."""
    asked = (network.srv(service, host) for service in SrvService)
    return dict(zip(SrvService, await asyncio.gather(*asked, return_exceptions=True), strict=True))


def evaluate(answers: SrvLookups) -> SrvRecords | Failure[SrvRecords]:
    """The first service that has records, or whose lookup failed, decides."""
    records = {
        service: sort_usable(answer) for service, answer in answers.items() if not isinstance(answer, BaseException)
    }
    for service, answer in answers.items():
        if isinstance(answer, BaseException):
            named = problems.classify(answer, Step.DNS)
            failure = replace(named, detail=f"_{service}._tcp: {named.detail}")
            return Failure((failure,), SrvRecords(records, service))
        if answer and not records[service]:
            refusal = Problem(Reason.SRV_SERVICE_UNAVAILABLE, f"the target of _{service}._tcp is '.'")
            return Failure((refusal,), SrvRecords(records, service))
        if answer:
            return SrvRecords(records, service)
    return SrvRecords(records, None)


def sort_usable(records: tuple[SrvRecord, ...]) -> tuple[SrvRecord, ...]:
    """In the order in which a peer tries them; among equal priorities it draws lots, so the heaviest stands first."""
    named = [record for record in records if record.target.host != _NO_SERVICE]
    order = sorted(named, key=lambda record: (record.priority, -record.weight, record.target.host, record.target.port))
    return tuple(order[:MAX_RECORDS])


def decisive_records(outcome: Outcome[SrvRecords]) -> SrvRecords | None:
    """What the route is planned on; none where nothing was asked."""
    return None if isinstance(outcome, Skipped) else outcome.found or UNANSWERED


def evaluate_targets(outcome: Outcome[SrvRecords], resolved: Resolution) -> Outcome[SrvRecords]:
    """The outcome once the targets are resolved: an alias, or a target without addresses, is the record's fault."""
    if not isinstance(outcome, Passed) or not outcome.found.decided_by:
        return outcome
    faults = (*resolved.unresolved, *_alias_faults(resolved))
    return Failed(outcome.seconds, faults, outcome.found) if faults else outcome


def _alias_faults(resolved: Resolution) -> tuple[Problem, ...]:
    hosts = dict.fromkeys(endpoint.target.host for endpoint in resolved.endpoints if endpoint.behind_alias)
    return tuple(Problem(Reason.SRV_TARGET_ALIAS, f"{host} is an alias (CNAME)") for host in hosts)
