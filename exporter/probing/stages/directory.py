"""The request of the deep look for a room alias, by which homeservers look for a room: does it reach the homeserver?"""

import secrets

from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, Outcome, Problem, ResponseSummary, UnexpectedResponse, found
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.network import Connection
from exporter.probing.parsing.json_response import summarize
from exporter.probing.problems import Step

PATH = "/_matrix/federation/v1/query/directory"
_MAX_BYTES = 16 * 1024


async def run(
    connection: Connection, host_header: str, deadline: Deadline, user_agent: str | None = None
) -> ResponseSummary | None:
    """Ask for an alias that does not exist, without credentials: a homeserver refuses that, with an errcode.

    Return None if there was no response.
    """
    path = f"{PATH}?room_alias=%23{secrets.token_hex(8)}%3A{host_header}"
    response = found(
        await attempt(Step.HTTP, connection.get(path, host_header, _MAX_BYTES, user_agent), identity, deadline)
    )
    return summarize(response) if response else None


def may_be_filtered(keys: Outcome[SigningKeys], answered: ResponseSummary | None) -> bool:
    """Whether a filter seems to answer, which may let homeservers pass."""
    problems = keys.problems if isinstance(keys, Failed) else ()
    return bool(answered and answered.may_be_of_filter) or any(map(_may_be_of_filter, problems))


def _may_be_of_filter(problem: Problem) -> bool:
    """A filter answers with a status of its own, or closes the connection."""
    if isinstance(problem, UnexpectedResponse):
        return problem.response.may_be_of_filter
    return problem.reason is Reason.HTTP_PROTOCOL
