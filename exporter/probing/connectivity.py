"""Whether the exporter's own network is down. It is checked when a probe gets no answer, before a server is blamed.

An outage needs proof that no watched server can fake: that no DNS resolver answers at all, or that none of several
hosts answers that were healthy before, in different networks.
"""

from asyncio.staggered import staggered_race
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from exporter.judging import verdict
from exporter.model.addresses import Target
from exporter.model.outcomes import Failed, Passed, ProxyFailure
from exporter.model.reasons import RAN_OUT_OF_TIME, Reason
from exporter.model.report import Report
from exporter.probing import dialling, problems
from exporter.probing.attempt import Deadline, attempt
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import dns

NEXT_WITNESS_SECONDS = 0.25  # one answer is enough, so that normally only one witness is contacted
WITNESS_SECONDS = 4.0  # lost packets are sent again, after 1 s and after 3 s

DNS_REASONS: Final = {Reason.DNS_TIMEOUT, Reason.DNS_FAILURE}
_SILENT_REASONS: Final = {*DNS_REASONS, *RAN_OUT_OF_TIME, Reason.UNREACHABLE, Reason.TUNNEL_FAILED}
"""The reasons that an outage of the exporter's own network can cause, or of that of its proxy. All others are an answer
from outside, or a fault of the proxy, which needs no proof."""


class Outage(StrEnum):
    """What was proven about the exporter's own network."""

    RESOLVER = "no DNS resolver answers"
    NETWORK = "no host answers"


class _SilentError(Exception):
    """Nothing came back."""


def silent_failures(report: Report) -> set[Reason]:
    """Return the reasons in a report that an outage of the exporter's own network can cause."""
    return _SILENT_REASONS & {located.problem.reason for located in verdict.problems(report)}


async def find_outage(network: Network, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
    """Return the outage that can be proven, or None. Pass `check_dns` if lookups fail.

    There are three cases:

    - `check_dns` is set and no resolver answers: RESOLVER. To an exporter that only watches IP addresses, silent
      resolvers prove nothing;
    - there are witnesses and none of them answers: NETWORK;
    - otherwise nothing is proven.
    """
    if check_dns and not await network.resolver_responds():
        return Outage.RESOLVER
    if witnesses and not await _any_witness_responds(network, witnesses):
        return Outage.NETWORK
    return None


async def _any_witness_responds(network: Network, witnesses: Sequence[Target]) -> bool:
    contacts = [partial(_contact, network, witness) for witness in witnesses]
    _, winner, errors = await staggered_race(contacts, NEXT_WITNESS_SECONDS)
    contacts.clear()  # the race is part of a reference cycle that keeps them
    for error in filter(None, errors):
        problems.release_frames(error)
    return winner is not None


async def _contact(network: Network, witness: Target) -> None:
    """Look a witness up and connect to it. Raises _SilentError if nothing came back; a refusal is an answer too."""
    deadline = Deadline.for_probe(WITNESS_SECONDS)
    evaluate = partial(dns.evaluate, aliases_allowed=True)
    resolved = await attempt(Step.DNS, dns.fetch(network, [witness]), evaluate, deadline)
    _raise_if_silent(resolved)
    if isinstance(resolved, Passed):
        connected = await dialling.connect(network, resolved.found.endpoints, deadline)
        _raise_if_silent(connected)
        if isinstance(connected, Passed):
            connected.found.close()


def _raise_if_silent(outcome: Passed[object] | Failed[object]) -> None:
    """Raise _SilentError if nothing came back. A proxy that is at fault is silence too: nobody was asked."""
    if isinstance(outcome, Failed) and any(
        problem.reason in _SILENT_REASONS or isinstance(problem, ProxyFailure) for problem in outcome.problems
    ):
        raise _SilentError
