"""Stage `proxy`, of the deep look: what a reverse proxy in front of the homeserver does to requests.

No request bears credentials, and none delivers anything: what is learnt is whether each reaches the homeserver as sent.
Matrix paths hold percent-encoded names, over which peers sign. A proxy that decodes them breaks joins and messages,
while version and keys, whose paths hold nothing encoded, go on to look healthy.
"""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from exporter.model.findings import Software
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
ENCODED_LETTER_PATH = f"{_FEDERATION}/%76ersion"  # "version", for whoever decodes it
_MAX_BYTES = 16 * 1024

# A transaction of 50 PDUs of 64 KiB and 100 EDUs (server-server API, "Transactions") must pass.
_TRANSACTION_BYTES = 4 * 1024 * 1024

_SILENCE_SECONDS = 2.0  # servers that do not know Expect simply wait for the body: no limit seen

_UNRECOGNIZED = (404, "M_UNRECOGNIZED")
_METHOD_REFUSED = {403, 405, 501}
_CHECKS_THE_RAW_PATH = {"Synapse"}  # other homeservers may decode the path themselves, which is no fault of a proxy


@dataclass(frozen=True, slots=True)
class ProxyResponses:
    """None where there was no answer to be had: that question is inconclusive."""

    plain: HttpResponse | None
    encoded: HttpResponse | None
    spelled: HttpResponse | None
    unknown: HttpResponse | None
    large_put_status: int | None
    """The status that a large body met before it was sent."""


async def run(connection: Connection, host_header: str, software: Software | None, deadline: Deadline) -> Outcome[None]:
    answers, seconds = await fetch(connection, host_header, deadline)
    return evaluate(answers, software, seconds)


async def fetch(connection: Connection, host_header: str, deadline: Deadline) -> tuple[ProxyResponses, float]:
    """Five small requests, and the seconds that the remote took for them.

    The last one makes the connection useless, and is not timed: silence is an answer to it.
    """
    before = connection.peer_wait()
    ask = partial(_get, connection, host_header, deadline)
    plain, encoded, spelled = await ask(PLAIN_PATH), await ask(ENCODED_SLASH_PATH), await ask(ENCODED_LETTER_PATH)
    unknown = await ask(f"{_FEDERATION}/{secrets.token_hex(8)}")
    seconds = connection.peer_wait() - before
    return ProxyResponses(
        plain, encoded, spelled, unknown, await _put_large_body(connection, host_header, deadline)
    ), seconds


async def _get(connection: Connection, host_header: str, deadline: Deadline, path: str) -> HttpResponse | None:
    return found(await attempt(Step.HTTP, connection.get(path, host_header, _MAX_BYTES), identity, deadline))


async def _put_large_body(connection: Connection, host_header: str, deadline: Deadline) -> int | None:
    path = f"{_FEDERATION}/send/{secrets.token_hex(8)}"
    announcement = connection.expect_continue(path, host_header, _TRANSACTION_BYTES)
    return found(await attempt(Step.HTTP, announcement, identity, deadline.capped(_SILENCE_SECONDS)))


# ---------------------------------------------------------------- reading


CheckResult: TypeAlias = Problem | bool
"""A fault; or True: there is none; or False: inconclusive."""


def evaluate(answers: ProxyResponses, software: Software | None, seconds: float) -> Outcome[None]:
    """Skipped where no question had an answer that tells anything."""
    reached = run_checks(answers, software)
    faults = {verdict.reason: verdict for verdict in reached if isinstance(verdict, Problem)}
    if faults:
        return Failed(seconds, tuple(faults.values()))
    return Passed(seconds, None) if True in reached else SKIPPED


def run_checks(answers: ProxyResponses, software: Software | None) -> tuple[CheckResult, ...]:
    return (
        _check_encoded_slash(answers.plain, answers.encoded),
        check_encoded_letter(answers.spelled, software),
        _check_unknown_path(answers.unknown),
        check_large_put(answers.plain, answers.large_put_status),
    )


def _check_encoded_slash(plain: HttpResponse | None, encoded: HttpResponse | None) -> CheckResult:
    """Both paths ask for an event without saying who asks, so both must be refused alike."""
    if not plain or not encoded or not _is_homeserver_refusal(plain):
        return False
    if (plain.status, errcode(plain)) == (encoded.status, errcode(encoded)):
        return True
    if encoded.status == 404:
        return Problem(
            Reason.PATH_DECODED, f"{PLAIN_PATH} reaches the homeserver, {ENCODED_SLASH_PATH} does not (status 404)"
        )
    return False


def _is_homeserver_refusal(answer: HttpResponse) -> bool:
    return answer.status in (401, 403) and errcode(answer) is not None


def check_encoded_letter(spelled: HttpResponse | None, software: Software | None) -> CheckResult:
    if not spelled or not software or software.name not in _CHECKS_THE_RAW_PATH:
        return False
    if version.evaluate(spelled) == software:
        return Problem(
            Reason.PATH_DECODED, f"{ENCODED_LETTER_PATH} is answered as if it were version: the path was decoded"
        )
    return (spelled.status, errcode(spelled)) == _UNRECOGNIZED


def _check_unknown_path(unknown: HttpResponse | None) -> CheckResult:
    if not unknown:
        return False
    if 200 <= unknown.status < 300:
        return Problem(Reason.CATCH_ALL, f"a path that does not exist is answered with status {unknown.status}")
    return (unknown.status, errcode(unknown)) == _UNRECOGNIZED


def check_large_put(plain: HttpResponse | None, status: int | None) -> CheckResult:
    """Asked to go on, or refused as GET is: whoever accepts a body but has no homeserver behind it tells nothing."""
    if status == 413:
        size = _TRANSACTION_BYTES // 2**20
        return Problem(
            Reason.BODY_LIMIT, f"a body of {size} MiB is refused (status 413), a transaction may be as large"
        )
    if not plain or not _is_homeserver_refusal(plain):
        return False
    if status in _METHOD_REFUSED and status != plain.status:
        return Problem(
            Reason.HTTP_STATUS,
            f"PUT is answered with status {status}, GET reaches the homeserver (status {plain.status})",
        )
    return status in (100, plain.status)
