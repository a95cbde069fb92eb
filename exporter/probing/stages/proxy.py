"""Stage `proxy` of the deep look: what a reverse proxy in front of the homeserver does to requests.

No request contains credentials or delivers anything: the stage only finds out whether each request reaches the
homeserver as it was sent. Matrix paths contain percent-encoded names, and peers sign the path. A proxy that decodes it
breaks joins and messages, while version and keys still look healthy, as their paths contain nothing encoded.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, UnexpectedResponse, found
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection
from exporter.probing.parsing.json_response import errcode, summarize
from exporter.probing.problems import Step
from exporter.probing.stages import version

_FEDERATION = "/_matrix/federation/v1"
PLAIN_PATH: Final = f"{_FEDERATION}/event/%24base"
ENCODED_PATHS: Final = (f"{_FEDERATION}/event/%24a%2Fb", f"{_FEDERATION}/event/%24a%23b")  # proxies refuse either
ENCODED_LETTER_PATH: Final = f"{_FEDERATION}/%76ersion"  # decoded, this is "version"
JOIN_PATH: Final = "/_matrix/federation/v2/send_join/%21base/%24base"
_SEND = f"{_FEDERATION}/send"
_MAX_BYTES = 16 * 1024

# A transaction of 50 PDUs of 64 KiB and 100 EDUs (server-server API, "Transactions") must pass.
_TRANSACTION_BYTES = 4 * 1024 * 1024

_SILENCE_SECONDS = 2.0  # servers that do not implement Expect simply wait for the body, which means no limit was found

_UNRECOGNIZED = (404, "M_UNRECOGNIZED")
_METHOD_REFUSED = {403, 405, 501}
_NOT_FOUND, _CONTENT_TOO_LARGE = 404, 413
_BUSY = {429, 502, 503, 504}  # a rate limit, or a homeserver that is down just now: not about this request
_COMPARES_RAW_PATHS = {"Synapse"}  # other homeservers may decode the path themselves, which is no fault of a proxy


@dataclass(frozen=True, slots=True)
class ProxyResponses:
    """What came back for each request; None if nothing did, which makes the check inconclusive."""

    plain: HttpResponse | None
    encoded: Mapping[str, HttpResponse | None]
    """By path."""
    encoded_letter: HttpResponse | None
    unknown_path: HttpResponse | None
    send: HttpResponse | None
    """The response to a small PUT with its body, in version 1 of the API."""
    join: HttpResponse | None
    """The response to a small PUT with its body, in version 2 of the API."""
    large_put_status: int | None
    """The first status in response to a large PUT, before its body was sent."""


async def run(
    connection: Connection, host_header: str, software: Software | None, deadline: Deadline, *, keys_found: bool
) -> Outcome[None]:
    """Send all requests over an open connection, and evaluate the responses.

    `software` is that of the homeserver, and `keys_found` whether it has published its keys.
    """
    responses, seconds = await fetch(connection, host_header, deadline)
    return evaluate(responses, software, seconds, keys_found=keys_found)


async def fetch(connection: Connection, host_header: str, deadline: Deadline) -> tuple[ProxyResponses, float]:
    """Send eight small requests. Return the responses, and the seconds that the server took for them.

    The last request leaves the connection unusable. It is not timed, as silence is a valid answer to it.
    """
    before = connection.peer_wait()
    get, put = partial(_get, connection, host_header, deadline), partial(_put, connection, host_header, deadline)
    plain = await get(PLAIN_PATH)
    encoded = {path: await get(path) for path in ENCODED_PATHS}
    encoded_letter = await get(ENCODED_LETTER_PATH)
    unknown_path = await get(f"{_FEDERATION}/{secrets.token_hex(8)}")
    send = await put(f"{_SEND}/{secrets.token_hex(8)}")
    join = await put(JOIN_PATH)
    seconds = connection.peer_wait() - before
    large_put_status = await _put_large_body(connection, host_header, deadline)
    return ProxyResponses(plain, encoded, encoded_letter, unknown_path, send, join, large_put_status), seconds


async def _get(connection: Connection, host_header: str, deadline: Deadline, path: str) -> HttpResponse | None:
    return found(await attempt(Step.HTTP, connection.get(path, host_header, _MAX_BYTES), identity, deadline))


async def _put(connection: Connection, host_header: str, deadline: Deadline, path: str) -> HttpResponse | None:
    """Send an empty object without credentials, which a homeserver refuses."""
    return found(await attempt(Step.HTTP, connection.put(path, host_header, b"{}", _MAX_BYTES), identity, deadline))


async def _put_large_body(connection: Connection, host_header: str, deadline: Deadline) -> int | None:
    path = f"{_SEND}/{secrets.token_hex(8)}"
    status = connection.expect_continue(path, host_header, _TRANSACTION_BYTES)
    return found(await attempt(Step.HTTP, status, identity, deadline.capped(_SILENCE_SECONDS)))


# ---------------------------------------------------------------- evaluation


CheckResult: TypeAlias = Problem | bool
"""A fault, or True if there is none, or False if the check is inconclusive."""


def evaluate(
    responses: ProxyResponses, software: Software | None, seconds: float, *, keys_found: bool
) -> Outcome[None]:
    """Return the outcome of all checks: failed if any found a fault, skipped if all of them are inconclusive."""
    results = run_checks(responses, software, keys_found=keys_found)
    faults = {result.reason: result for result in reversed(results) if isinstance(result, Problem)}
    if faults:
        return Failed(seconds, tuple(reversed(faults.values())))
    return Passed(seconds, None) if True in results else SKIPPED


def add_fault(outcome: Outcome[None], fault: Problem | None) -> Outcome[None]:
    """Return the outcome with one more fault, which comes first."""
    match outcome:
        case _ if fault is None:
            return outcome
        case Failed():
            return replace(outcome, problems=(fault, *outcome.problems))
        case Passed():
            return Failed(outcome.seconds, (fault,))
        case _:
            return Failed(0.0, (fault,))


def run_checks(responses: ProxyResponses, software: Software | None, *, keys_found: bool) -> tuple[CheckResult, ...]:
    """Return the result of each check: forwarded, method, encoded paths, encoded letter, unknown path, large PUT."""
    return (
        _check_forwarded(responses) if keys_found else False,
        _check_method(responses.plain, responses.send),
        *(_check_encoded(responses.plain, path, encoded) for path, encoded in responses.encoded.items()),
        _check_encoded_letter(responses.encoded_letter, software),
        _check_unknown_path(responses.unknown_path),
        _check_large_put(responses.send, responses.large_put_status),
    )


def _check_forwarded(responses: ProxyResponses) -> CheckResult:
    """A homeserver answers every request without credentials with a Matrix error. There are three cases:

    - a request is answered otherwise: it does not reach the homeserver;
    - all of them are answered with a Matrix error: no fault;
    - some of them are not answered: inconclusive.
    """
    if lost := list(_unforwarded(responses)):
        requests = ", ".join(f"{request} (status {response.status})" for request, response in lost)
        return _fault(Reason.NOT_FORWARDED, f"not answered by the homeserver: {requests}", lost[0][1])
    return all(each and errcode(each) for each in (responses.plain, responses.send, responses.join))


def _unforwarded(responses: ProxyResponses) -> Iterator[tuple[str, HttpResponse]]:
    """Yield the requests that do not reach the homeserver. A method that is refused is another fault."""
    plain, send, join = responses.plain, responses.send, responses.join
    method_refused = isinstance(_check_method(plain, send), Problem)
    if plain and _is_foreign(plain):
        yield f"GET {PLAIN_PATH}", plain
    if send and _is_foreign(send) and not method_refused:
        yield f"PUT {_SEND}", send
    if join and _is_foreign(join) and not method_refused:
        yield f"PUT {JOIN_PATH}", join


def _is_foreign(response: HttpResponse) -> bool:
    """Whether something other than a homeserver answers, and would do so again."""
    return errcode(response) is None and response.status not in _BUSY


def _fault(reason: Reason, detail: str, response: HttpResponse) -> UnexpectedResponse:
    seen = summarize(response)
    return UnexpectedResponse(reason, "; ".join((detail, *seen.origin)), seen)


def _answer(response: HttpResponse) -> str:
    code = errcode(response)
    return f"status {response.status} and {f'errcode {code}' if code else 'no Matrix error'}"


def _check_method(plain: HttpResponse | None, send: HttpResponse | None) -> CheckResult:
    """Compare a small PUT with a GET, both without credentials. There are four cases:

    - GET is not refused by a homeserver, or nothing came back: inconclusive;
    - PUT is answered with a Matrix error: no fault;
    - PUT is refused as a method: something in between blocks it;
    - anything else: inconclusive here.
    """
    if not plain or not send or not _is_homeserver_refusal(plain):
        return False
    if errcode(send):
        return True
    if send.status in _METHOD_REFUSED:
        detail = f"PUT returns {_answer(send)}, but GET reaches the homeserver (status {plain.status})"
        return _fault(Reason.HTTP_STATUS, detail, send)
    return False


def _check_encoded(plain: HttpResponse | None, path: str, encoded: HttpResponse | None) -> CheckResult:
    """Both paths request an event without credentials, so the homeserver must refuse both alike. There are five cases:

    - the plain request is not refused by a homeserver, or nothing came back: inconclusive;
    - both are refused alike: no fault;
    - something other than a homeserver answers the encoded path: it was refused, redirected or decoded;
    - the homeserver does not know the encoded path: it was decoded;
    - anything else: inconclusive.
    """
    if not plain or not encoded or not _is_homeserver_refusal(plain):
        return False
    if (plain.status, errcode(plain)) == (encoded.status, errcode(encoded)):
        return True
    if _is_foreign(encoded) or encoded.status == _NOT_FOUND:
        detail = f"{PLAIN_PATH} reaches the homeserver (status {plain.status}), but {path} returns {_answer(encoded)}"
        return _fault(Reason.PATH_DECODED, detail, encoded)
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
        detail = f"a path that does not exist returns status {unknown_path.status}"
        return _fault(Reason.CATCH_ALL, detail, unknown_path)
    return (unknown_path.status, errcode(unknown_path)) == _UNRECOGNIZED


def _check_large_put(send: HttpResponse | None, status: int | None) -> CheckResult:
    """Compare the first status of a large PUT with that of a small one. There are four cases:

    - the small one does not reach the homeserver: inconclusive;
    - 413: the body is too large, no matter which program says so;
    - it is refused like the small one, before its body was sent: no fault;
    - anything else: inconclusive. The proxy in front often says 100, which proves nothing about those behind it.
    """
    if not send or errcode(send) is None:
        return False
    if status == _CONTENT_TOO_LARGE:
        size = _TRANSACTION_BYTES // 2**20
        return Problem(
            Reason.BODY_LIMIT, f"a body of {size} MiB is refused (status 413), but a transaction may be that large"
        )
    return status == send.status
