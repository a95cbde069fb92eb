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
from exporter.model.enums import RAN_OUT_OF_TIME, Reason
from exporter.model.outcomes import Failed, Passed
from exporter.model.report import Report
from exporter.probing import dialling, problems
from exporter.probing.attempt import Deadline, as_it_is, attempt
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import dns

NEXT_WITNESS_SECONDS = 0.25  # one answer is enough, so that in good times only one is asked
WITNESS_SECONDS = 4.0  # lost packets are sent again, after 1 s and after 3 s

OF_DNS: Final = {Reason.DNS_TIMEOUT, Reason.DNS_FAILURE}
SILENCE: Final = {*OF_DNS, *RAN_OUT_OF_TIME, Reason.UNREACHABLE}
"""The reasons that our own network can be the cause of. All others are somebody's answer."""


class Loss(StrEnum):
    """What was proven."""

    RESOLVER = "no resolver answers anything"
    EVERYBODY = "nobody answers"


class SilentError(Exception):
    """Nothing came back."""


def silence(report: Report) -> set[Reason]:
    """The silent failures of a probe."""
    return SILENCE & {located.problem.reason for located in verdict.problems(report)}


async def loss(network: Network, witnesses: Sequence[Target], *, of_dns: bool) -> Loss | None:
    """None where nothing is proven. `of_dns`: lookups fail, so that the resolvers are to be asked as well.

    That DNS is silent proves nothing to an exporter that needs none, for servers that are IP addresses.
    """
    if of_dns and not await network.resolver_answers():
        return Loss.RESOLVER
    if witnesses and not await any_answers(network, witnesses):
        return Loss.EVERYBODY
    return None


async def any_answers(network: Network, witnesses: Sequence[Target]) -> bool:
    asked = [partial(ask, network, witness) for witness in witnesses]
    _, winner, errors = await staggered_race(asked, NEXT_WITNESS_SECONDS)
    asked.clear()  # which the race holds, and itself too
    for error in filter(None, errors):
        problems.let_go(error)
    return winner is not None


async def ask(network: Network, witness: Target) -> None:
    """A lookup and a connection. Raises SilentError; a refusal is an answer too."""
    deadline = Deadline.of_probe(WITNESS_SECONDS)
    looking = dns.look(network, [witness])
    resolved = await attempt(Step.DNS, looking, partial(dns.read, aliases_allowed=True), deadline)
    heed(resolved)
    if isinstance(resolved, Passed):
        connecting = dialling.connect_any(network, resolved.found.endpoints)
        connected = await attempt(Step.TCP, connecting, as_it_is, deadline)
        heed(connected)
        if isinstance(connected, Passed):
            connected.found.close()


def heed(outcome: Passed[object] | Failed[object]) -> None:
    if isinstance(outcome, Failed) and any(problem.reason in SILENCE for problem in outcome.problems):
        raise SilentError
