"""Stage `proxy`, of the deep look: what a reverse proxy in front of the homeserver does to requests.

No request bears credentials, and none delivers anything: what is learnt is whether each reaches the homeserver as sent.
Matrix paths hold percent-encoded names, over which peers sign. A proxy that decodes them breaks joins and messages,
while version and keys, whose paths hold nothing encoded, go on to look healthy.
"""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from exporter.model.enums import Reason
from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, found
from exporter.probing.attempt import Deadline, as_it_is, attempt
from exporter.probing.evidence import HttpAnswer
from exporter.probing.network import Connection
from exporter.probing.parsing.json_body import errcode
from exporter.probing.problems import Step
from exporter.probing.stages import version

FEDERATION = "/_matrix/federation/v1"
PLAIN = f"{FEDERATION}/event/%24base"
ENCODED = f"{FEDERATION}/event/%24a%2Fb"
SPELLED = f"{FEDERATION}/%76ersion"  # "version", for whoever decodes it
MAX_BYTES = 16 * 1024

# A transaction of 50 PDUs of 64 KiB and 100 EDUs (server-server API, "Transactions") must pass.
TRANSACTION_BYTES = 4 * 1024 * 1024

SILENCE_SECONDS = 2.0  # servers that do not know Expect simply wait for the body: no limit seen

UNRECOGNIZED = (404, "M_UNRECOGNIZED")
METHOD_REFUSED = {403, 405, 501}
CHECKS_THE_RAW_PATH = {"Synapse"}  # other homeservers may decode the path themselves, which is no fault of a proxy


@dataclass(frozen=True, slots=True)
class Answers:
    """None where there was no answer to be had: that question is inconclusive."""

    plain: HttpAnswer | None
    encoded: HttpAnswer | None
    spelled: HttpAnswer | None
    unknown: HttpAnswer | None
    announced: int | None
    """The status that a large body met before it was sent."""


async def probe(
    connection: Connection, host_header: str, software: Software | None, deadline: Deadline
) -> Outcome[None]:
    answers, seconds = await look(connection, host_header, deadline)
    return judge(answers, software, seconds)


async def look(connection: Connection, host_header: str, deadline: Deadline) -> tuple[Answers, float]:
    """Five small requests, and the seconds that the remote took for them.

    The last one makes the connection useless, and is not timed: silence is an answer to it.
    """
    before = connection.waited()
    ask = partial(asked, connection, host_header, deadline)
    plain, encoded, spelled = await ask(PLAIN), await ask(ENCODED), await ask(SPELLED)
    unknown = await ask(f"{FEDERATION}/{secrets.token_hex(8)}")
    seconds = connection.waited() - before
    return Answers(plain, encoded, spelled, unknown, await announced(connection, host_header, deadline)), seconds


async def asked(connection: Connection, host_header: str, deadline: Deadline, path: str) -> HttpAnswer | None:
    return found(await attempt(Step.HTTP, connection.get(path, host_header, MAX_BYTES), as_it_is, deadline))


async def announced(connection: Connection, host_header: str, deadline: Deadline) -> int | None:
    path = f"{FEDERATION}/send/{secrets.token_hex(8)}"
    announcement = connection.announce(path, host_header, TRANSACTION_BYTES)
    return found(await attempt(Step.HTTP, announcement, as_it_is, deadline.sooner(SILENCE_SECONDS)))


# ---------------------------------------------------------------- reading


Verdict: TypeAlias = Problem | bool
"""A fault; or True: there is none; or False: inconclusive."""


def judge(answers: Answers, software: Software | None, seconds: float) -> Outcome[None]:
    """Skipped where no question had an answer that tells anything."""
    reached = verdicts(answers, software)
    faults = {verdict.reason: verdict for verdict in reached if isinstance(verdict, Problem)}
    if faults:
        return Failed(seconds, tuple(faults.values()))
    return Passed(seconds, None) if True in reached else SKIPPED


def verdicts(answers: Answers, software: Software | None) -> tuple[Verdict, ...]:
    return (
        encoded_slash(answers.plain, answers.encoded),
        spelled_path(answers.spelled, software),
        unknown_path(answers.unknown),
        large_put(answers.plain, answers.announced),
    )


def encoded_slash(plain: HttpAnswer | None, encoded: HttpAnswer | None) -> Verdict:
    """Both paths ask for an event without saying who asks, so both must be refused alike."""
    if not plain or not encoded or not refused_by_homeserver(plain):
        return False
    if (plain.status, errcode(plain)) == (encoded.status, errcode(encoded)):
        return True
    if encoded.status == 404:
        return Problem(Reason.PATH_DECODED, f"{PLAIN} reaches the homeserver, {ENCODED} does not (status 404)")
    return False


def refused_by_homeserver(answer: HttpAnswer) -> bool:
    return answer.status in (401, 403) and errcode(answer) is not None


def spelled_path(spelled: HttpAnswer | None, software: Software | None) -> Verdict:
    if not spelled or not software or software.name not in CHECKS_THE_RAW_PATH:
        return False
    if version.read(spelled) == software:
        return Problem(Reason.PATH_DECODED, f"{SPELLED} is answered as if it were version: the path was decoded")
    return (spelled.status, errcode(spelled)) == UNRECOGNIZED


def unknown_path(unknown: HttpAnswer | None) -> Verdict:
    if not unknown:
        return False
    if 200 <= unknown.status < 300:
        return Problem(Reason.CATCH_ALL, f"a path that does not exist is answered with status {unknown.status}")
    return (unknown.status, errcode(unknown)) == UNRECOGNIZED


def large_put(plain: HttpAnswer | None, status: int | None) -> Verdict:
    """Asked to go on, or refused as GET is: whoever accepts a body but has no homeserver behind it tells nothing."""
    if status == 413:
        size = TRANSACTION_BYTES // 2**20
        return Problem(
            Reason.BODY_LIMIT, f"a body of {size} MiB is refused (status 413), a transaction may be as large"
        )
    if not plain or not refused_by_homeserver(plain):
        return False
    if status in METHOD_REFUSED and status != plain.status:
        return Problem(
            Reason.HTTP_STATUS,
            f"PUT is answered with status {status}, GET reaches the homeserver (status {plain.status})",
        )
    return status in (100, plain.status)
