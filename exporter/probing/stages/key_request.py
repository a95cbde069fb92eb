"""The request of the stage `keys`, which follows redirects as some homeservers do; `keys` evaluates the response."""

from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

from exporter.model.findings import HttpShape, SigningKeys
from exporter.model.names import ServerName
from exporter.model.outcomes import Outcome
from exporter.probing.attempt import Deadline, Failure, attempt
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection
from exporter.probing.problems import Step
from exporter.probing.stages import keys

_MAX_REDIRECTS = 3


async def fetch_keys(
    connection: Connection, name: ServerName, host_header: str, deadline: Deadline, user_agent: str | None = None
) -> tuple[Outcome[SigningKeys], HttpShape | None]:
    """Return the outcome of the stage `keys`, and the size of the response's headers if there was a response."""
    shape: HttpShape | None = None

    def evaluate(final: tuple[HttpResponse, int]) -> SigningKeys | Failure[SigningKeys]:
        nonlocal shape
        response, redirects = final
        shape = response.shape
        return keys.evaluate(response, name.text, datetime.now(UTC), redirected=redirects > 0)

    response = _follow(connection, host_header, user_agent)
    outcome = await attempt(Step.HTTP, response, evaluate, deadline, connection.peer_wait)
    return outcome, shape


async def _follow(connection: Connection, host_header: str, user_agent: str | None) -> tuple[HttpResponse, int]:
    """Follow redirects of the request for the keys to other paths of the same host, and count them."""
    path = keys.PATH
    for redirects in range(_MAX_REDIRECTS):
        response = await connection.get(path, host_header, keys.MAX_BYTES, user_agent)
        location = response.header("location")
        if response.status not in (301, 302, 303, 307, 308) or location is None:
            return response, redirects
        target = urlsplit(urljoin(f"https://{host_header}{path}", location))
        if (target.scheme, target.netloc) != ("https", host_header):
            return response, redirects
        path = f"{target.path}?{target.query}" if target.query else target.path or "/"
    return response, redirects
