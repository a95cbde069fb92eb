"""Is it our own network that is down? Asked where a probe met silence, before a server is blamed for it.

Proof is what no watched server can bring about by itself: that no resolver says anything at all, or that nobody answers
of several who were well, in different networks.
"""

from asyncio.staggered import staggered_race
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from exporter.judging import verdict
from exporter.model.addresses import Target
from exporter.model.outcomes import Failed, Passed
from exporter.model.reasons import RAN_OUT_OF_TIME, Reason
from exporter.model.report import Report
from exporter.probing import dialling, problems
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import dns

NEXT_WITNESS_SECONDS = 0.25  # one answer is enough, so that in good times only one is asked
WITNESS_SECONDS = 4.0  # lost packets are sent again, after 1 s and after 3 s

DNS_REASONS: Final = {Reason.DNS_TIMEOUT, Reason.DNS_FAILURE}
_SILENT_REASONS: Final = {*DNS_REASONS, *RAN_OUT_OF_TIME, Reason.UNREACHABLE}
"""The reasons that our own network can be the cause of. All others are somebody's answer."""


class Outage(StrEnum):
    """What was proven."""

    RESOLVER = "no resolver answers anything"
    NETWORK = "nobody answers"


class _SilentError(Exception):
    """Nothing came back."""


def silent_failures(report: Report) -> set[Reason]:
    """The silent failures of a probe."""
    return _SILENT_REASONS & {located.problem.reason for located in verdict.problems(report)}


async def find_outage(network: Network, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
    """None where nothing is proven. `check_dns`: lookups fail, so that the resolvers are to be asked as well.

    That DNS is silent proves nothing to an exporter that needs none, for servers that are IP addresses.
    """
    if check_dns and not await network.resolver_responds():
        return Outage.RESOLVER
    if witnesses and not await _any_witness_responds(network, witnesses):
        return Outage.NETWORK
    return None


async def _any_witness_responds(network: Network, witnesses: Sequence[Target]) -> bool:
    asked = [partial(_contact, network, witness) for witness in witnesses]
    _, winner, errors = await staggered_race(asked, NEXT_WITNESS_SECONDS)
    asked.clear()  # which the race holds, and itself too
    for error in filter(None, errors):
        problems.release_frames(error)
    return winner is not None


async def _contact(network: Network, witness: Target) -> None:
    """A lookup and a connection. Raises SilentError; a refusal is an answer too."""
    deadline = Deadline.for_probe(WITNESS_SECONDS)
    looking = dns.fetch(network, [witness])
    resolved = await attempt(Step.DNS, looking, partial(dns.evaluate, aliases_allowed=True), deadline)
    _raise_if_silent(resolved)
    if isinstance(resolved, Passed):
        connecting = dialling.connect_any(network, resolved.found.endpoints)
        connected = await attempt(Step.TCP, connecting, identity, deadline)
        _raise_if_silent(connected)
        if isinstance(connected, Passed):
            connected.found.close()


def _raise_if_silent(outcome: Passed[object] | Failed[object]) -> None:
    if isinstance(outcome, Failed) and any(problem.reason in _SILENT_REASONS for problem in outcome.problems):
        raise _SilentError
