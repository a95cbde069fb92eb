"""The request of the deep look for a room alias, by which homeservers look for a room: does it reach the homeserver?"""

import secrets

from exporter.model.findings import DirectoryResponse, SigningKeys
from exporter.model.outcomes import Failed, Outcome, found
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.network import Connection
from exporter.probing.parsing.json_body import errcode
from exporter.probing.problems import Step

PATH = "/_matrix/federation/v1/query/directory"
_MAX_BYTES = 16 * 1024


async def run(
    connection: Connection, host_header: str, deadline: Deadline, user_agent: str | None = None
) -> DirectoryResponse | None:
    """Ask for an alias that does not exist, without credentials: a homeserver refuses that, with an errcode.

    Return None if there was no response.
    """
    path = f"{PATH}?room_alias=%23{secrets.token_hex(8)}%3A{host_header}"
    response = found(
        await attempt(Step.HTTP, connection.get(path, host_header, _MAX_BYTES, user_agent), identity, deadline)
    )
    return DirectoryResponse(response.status, errcode(response)) if response else None


def lets_homeservers_pass(answered: DirectoryResponse | None, homeservers: DirectoryResponse | None) -> bool:
    """Whether a request reaches the homeserver only with the User-Agent of one."""
    return not (answered and answered.reached) and bool(homeservers and homeservers.reached)


def is_refusal(keys: Outcome[SigningKeys], answered: DirectoryResponse | None) -> bool:
    """Whether something other than a homeserver seems to answer, which may let homeservers pass."""
    return isinstance(keys, Failed) or bool(answered and not answered.reached)
