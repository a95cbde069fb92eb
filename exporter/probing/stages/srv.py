"""Stage `srv`: the SRV records of both services (server-server API, 2.1, steps 3.3, 3.4, 4 and 5; RFC 2782)."""

import asyncio
from collections.abc import Iterable, Mapping
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
"""What the lookup of each service returned or raised."""

_NO_RECORDS = SrvRecords(dict.fromkeys(SrvService, ()), decided_by=None)
UNANSWERED = SrvRecords({}, decided_by=SrvService.MATRIX_FED)
"""Neither lookup said anything. A peer gives up then, and does not fall back to port 8448."""


async def fetch(network: Network, host: str) -> SrvLookups:
    """Look up both services at once: the second one matters if the first has no record."""
    lookups = (network.srv(service, host) for service in SrvService)
    return dict(zip(SrvService, await asyncio.gather(*lookups, return_exceptions=True), strict=True))


def evaluate(lookups: SrvLookups) -> SrvRecords | Failure[SrvRecords]:
    """Return the records of both services, and which service decides. For each service in order there are four cases:

    - its lookup failed: it decides, and the stage fails;
    - its only targets are `.`, which refuses the service: it decides, and the stage fails;
    - it has records: it decides, and the stage passes;
    - it has no record: the next service is tried. If no service is left, none decides, and the stage passes.
    """
    records = {
        service: _sort_usable(lookup) for service, lookup in lookups.items() if not isinstance(lookup, BaseException)
    }
    failures = {
        service: _lookup_problem(service, lookup)
        for service, lookup in lookups.items()
        if isinstance(lookup, BaseException)
    }
    unavailable = frozenset(service for service in records if lookups[service] and not records[service])
    for service in lookups:
        if failure := failures.get(service):
            return Failure((failure,), SrvRecords(records, service, failures, unavailable))
        if service in unavailable:
            refusal = Problem(Reason.SRV_SERVICE_UNAVAILABLE, f"the target of _{service}._tcp is '.'")
            return Failure((refusal,), SrvRecords(records, service, failures, unavailable))
        if records[service]:
            return SrvRecords(records, service, failures, unavailable)
    return _NO_RECORDS  # as of most servers, which share it


def _lookup_problem(service: SrvService, error: BaseException) -> Problem:
    problem = problems.classify(error, Step.DNS)
    return replace(problem, detail=f"_{service}._tcp: {problem.detail}")


def _sort_usable(records: tuple[SrvRecord, ...]) -> tuple[SrvRecord, ...]:
    """Return the records in the order in which a peer tries them, without refusals.

    Among equal priorities a peer chooses at random by weight, so the heaviest one comes first.
    """
    usable = [record for record in records if record.target.host != _NO_SERVICE]
    order = sorted(usable, key=lambda record: (record.priority, -record.weight, record.target.host, record.target.port))
    return tuple(order[:MAX_RECORDS])


def decisive_records(outcome: Outcome[SrvRecords]) -> SrvRecords | None:
    """Return what the route is planned on: None if no record was looked up, and UNANSWERED if no lookup returned."""
    return None if isinstance(outcome, Skipped) else outcome.found or UNANSWERED


def evaluate_targets(outcome: Outcome[SrvRecords], resolution: Resolution) -> Outcome[SrvRecords]:
    """Return the outcome once the targets are resolved.

    A target that is an alias, has no address, or has port 0 is a fault of its record.
    """
    if not isinstance(outcome, Passed) or not outcome.found.decided_by:
        return outcome
    decisive = outcome.found.records[outcome.found.decided_by]
    faults = (*_port_faults(decisive), *resolution.unresolved, *_alias_faults(resolution))
    return Failed(outcome.seconds, faults, outcome.found) if faults else outcome


def _port_faults(records: Iterable[SrvRecord]) -> tuple[Problem, ...]:
    hosts = dict.fromkeys(record.target.host for record in records if not record.target.port)
    return tuple(Problem(Reason.SRV_PORT_ZERO, f"the record for {host} has port 0") for host in hosts)


def _alias_faults(resolution: Resolution) -> tuple[Problem, ...]:
    hosts = dict.fromkeys(endpoint.target.host for endpoint in resolution.endpoints if endpoint.behind_alias)
    return tuple(Problem(Reason.SRV_TARGET_ALIAS, f"{host} is an alias (CNAME)") for host in hosts)
