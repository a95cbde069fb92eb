"""Stage `proxy` of the deep look: what a reverse proxy in front of the homeserver does to requests.

No request contains credentials or delivers anything: the stage only finds out whether each request reaches the
homeserver as it was sent. Matrix paths contain percent-encoded names, and peers sign the path. A proxy that decodes it
breaks joins and messages, while version and keys still look healthy, as their paths contain nothing encoded.
"""

import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from exporter.model.findings import DirectoryResponse, Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, found
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection
from exporter.probing.parsing.json_body import errcode
from exporter.probing.problems import Step
from exporter.probing.stages import version

_FEDERATION = "/_matrix/federation/v1"
PLAIN_PATH = f"{_FEDERATION}/event/%24base"
ENCODED_SLASH_PATH = f"{_FEDERATION}/event/%24a%2Fb"
ENCODED_LETTER_PATH = f"{_FEDERATION}/%76ersion"  # decoded, this is "version"
_MAX_BYTES = 16 * 1024

# A transaction of 50 PDUs of 64 KiB and 100 EDUs (server-server API, "Transactions") must pass.
_TRANSACTION_BYTES = 4 * 1024 * 1024

_SILENCE_SECONDS = 2.0  # servers that do not implement Expect simply wait for the body, which means no limit was found

_UNRECOGNIZED = (404, "M_UNRECOGNIZED")
_METHOD_REFUSED = {403, 405, 501}
_COMPARES_RAW_PATHS = {"Synapse"}  # other homeservers may decode the path themselves, which is no fault of a proxy


@dataclass(frozen=True, slots=True)
class ProxyResponses:
    """What came back for each request; None if nothing did, which makes the check inconclusive."""

    plain: HttpResponse | None
    encoded_slash: HttpResponse | None
    encoded_letter: HttpResponse | None
    unknown_path: HttpResponse | None
    large_put_status: int | None
    """The first status in response to a large PUT, before its body was sent."""


async def run(connection: Connection, host_header: str, software: Software | None, deadline: Deadline) -> Outcome[None]:
    """Send all requests over an open connection, and evaluate the responses. `software` is that of the homeserver."""
    responses, seconds = await fetch(connection, host_header, deadline)
    return evaluate(responses, software, seconds)


async def fetch(connection: Connection, host_header: str, deadline: Deadline) -> tuple[ProxyResponses, float]:
    """Send five small requests. Return the responses, and the seconds that the server took for them.

    The last request leaves the connection unusable. It is not timed, as silence is a valid answer to it.
    """
    before = connection.peer_wait()
    get = partial(_get, connection, host_header, deadline)
    plain = await get(PLAIN_PATH)
    encoded_slash = await get(ENCODED_SLASH_PATH)
    encoded_letter = await get(ENCODED_LETTER_PATH)
    unknown_path = await get(f"{_FEDERATION}/{secrets.token_hex(8)}")
    seconds = connection.peer_wait() - before
    large_put_status = await _put_large_body(connection, host_header, deadline)
    return ProxyResponses(plain, encoded_slash, encoded_letter, unknown_path, large_put_status), seconds


async def _get(connection: Connection, host_header: str, deadline: Deadline, path: str) -> HttpResponse | None:
    return found(await attempt(Step.HTTP, connection.get(path, host_header, _MAX_BYTES), identity, deadline))


async def _put_large_body(connection: Connection, host_header: str, deadline: Deadline) -> int | None:
    path = f"{_FEDERATION}/send/{secrets.token_hex(8)}"
    status = connection.expect_continue(path, host_header, _TRANSACTION_BYTES)
    return found(await attempt(Step.HTTP, status, identity, deadline.capped(_SILENCE_SECONDS)))


# ---------------------------------------------------------------- evaluation


CheckResult: TypeAlias = Problem | bool
"""A fault, or True if there is none, or False if the check is inconclusive."""


def evaluate(responses: ProxyResponses, software: Software | None, seconds: float) -> Outcome[None]:
    """Return the outcome of all checks: failed if any found a fault, skipped if all of them are inconclusive."""
    results = run_checks(responses, software)
    faults = {result.reason: result for result in results if isinstance(result, Problem)}
    if faults:
        return Failed(seconds, tuple(faults.values()))
    return Passed(seconds, None) if True in results else SKIPPED


def add_directory(outcome: Outcome[None], directory: DirectoryResponse | None) -> Outcome[None]:
    """Add a fault to the outcome if a request for a room alias did not reach a homeserver that publishes its keys.

    A proxy that forwards only the paths that people use to test it looks healthy, but no peer can do anything.
    """
    if directory is None or directory.reached:
        return outcome
    fault = Problem(Reason.NOT_FORWARDED, directory.detail)
    match outcome:
        case Failed():
            return replace(outcome, problems=(fault, *outcome.problems))
        case Passed():
            return Failed(outcome.seconds, (fault,))
        case _:
            return Failed(0.0, (fault,))


def run_checks(responses: ProxyResponses, software: Software | None) -> tuple[CheckResult, ...]:
    """Return the result of each check: encoded slash, encoded letter, unknown path, large PUT."""
    return (
        _check_encoded_slash(responses.plain, responses.encoded_slash),
        _check_encoded_letter(responses.encoded_letter, software),
        _check_unknown_path(responses.unknown_path),
        _check_large_put(responses.plain, responses.large_put_status),
    )


def _check_encoded_slash(plain: HttpResponse | None, encoded_slash: HttpResponse | None) -> CheckResult:
    """Both paths request an event without credentials, so the homeserver must refuse both alike. There are four cases:

    - the plain request is not refused by a homeserver: inconclusive;
    - both are refused alike: no fault;
    - the encoded path is not found: it was decoded;
    - anything else: inconclusive.
    """
    if not plain or not encoded_slash or not _is_homeserver_refusal(plain):
        return False
    if (plain.status, errcode(plain)) == (encoded_slash.status, errcode(encoded_slash)):
        return True
    if encoded_slash.status == 404:
        return Problem(
            Reason.PATH_DECODED, f"{PLAIN_PATH} reaches the homeserver, but {ENCODED_SLASH_PATH} does not (status 404)"
        )
    return False


def _is_homeserver_refusal(response: HttpResponse) -> bool:
    return response.status in (401, 403) and errcode(response) is not None


def _check_encoded_letter(encoded_letter: HttpResponse | None, software: Software | None) -> CheckResult:
    """A homeserver that compares raw paths does not recognise this one. There are four cases:

    - the homeserver may decode paths itself, or nothing came back: inconclusive;
    - the homeserver's version comes back: the path was decoded;
    - the homeserver does not recognise the path: no fault;
    - anything else, such as a page from a proxy: inconclusive.
    """
    if not encoded_letter or not software or software.name not in _COMPARES_RAW_PATHS:
        return False
    if version.evaluate(encoded_letter) == software:
        return Problem(
            Reason.PATH_DECODED, f"{ENCODED_LETTER_PATH} returns the homeserver's version: the path was decoded"
        )
    return (encoded_letter.status, errcode(encoded_letter)) == _UNRECOGNIZED


def _check_unknown_path(unknown_path: HttpResponse | None) -> CheckResult:
    """Success for a path that does not exist is a fault. A 404 counts only if it comes from a homeserver."""
    if not unknown_path:
        return False
    if 200 <= unknown_path.status < 300:
        return Problem(Reason.CATCH_ALL, f"a path that does not exist returns status {unknown_path.status}")
    return (unknown_path.status, errcode(unknown_path)) == _UNRECOGNIZED


def _check_large_put(plain: HttpResponse | None, status: int | None) -> CheckResult:
    """Compare the status of a large PUT with that of a GET. There are five cases:

    - 413: the body is too large, no matter which program says so;
    - GET is not refused by a homeserver: inconclusive;
    - PUT is refused as a method, and GET is refused differently: something in between blocks PUT;
    - PUT may continue, or is refused like GET: no fault;
    - anything else, such as silence: inconclusive.
    """
    if status == 413:
        size = _TRANSACTION_BYTES // 2**20
        return Problem(
            Reason.BODY_LIMIT, f"a body of {size} MiB is refused (status 413), but a transaction may be that large"
        )
    if not plain or not _is_homeserver_refusal(plain):
        return False
    if status in _METHOD_REFUSED and status != plain.status:
        return Problem(
            Reason.HTTP_STATUS,
            f"PUT returns status {status}, but GET reaches the homeserver (status {plain.status})",
        )
    return status in (100, plain.status)
