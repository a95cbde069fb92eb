import itertools
import secrets
from contextlib import closing
from dataclasses import replace

import pytest

from exporter.demo.https_server import HTML, Response, json_response
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import proxy
from exporter.probing.stages.proxy import ENCODED_LETTER_PATH, ENCODED_SLASH_PATH, PLAIN_PATH, ProxyResponses, evaluate
from tests.addresses import ip_endpoint
from tests.certificates import handshake
from tests.fake_world import GET_SECONDS, FakeNetwork, Server, received

SYNAPSE, CONDUIT = Software("Synapse", "1.163.2"), Software("Tuwunel", "1.4")


def error(status: int, errcode: str) -> HttpResponse:
    return received(json_response({"errcode": errcode, "error": "a sentence"}, status))


UNAUTHORIZED, FORBIDDEN = error(401, "M_UNAUTHORIZED"), error(403, "M_FORBIDDEN")
UNRECOGNIZED = error(404, "M_UNRECOGNIZED")
VERSION = received(json_response({"server": {"name": "Synapse", "version": "1.163.2"}}))
PAGE, PAGE_404, PAGE_403 = (received(Response(status, (HTML,), b"<!doctype html>")) for status in (200, 404, 403))
BAD_GATEWAY = received(Response(502, (HTML,), b"<!doctype html>"))

OPEN = ProxyResponses(plain=None, encoded=None, spelled=None, unknown=None, large_put_status=None)
FINE = ProxyResponses(UNAUTHORIZED, UNAUTHORIZED, UNRECOGNIZED, UNRECOGNIZED, 100)


def reasons(outcome: Outcome[None]) -> list[Reason] | str:
    """Why it failed, or how else it ended."""
    return [problem.reason for problem in outcome.problems] if isinstance(outcome, Failed) else type(outcome).__name__


# ---------------------------------------------------------------- all questions together


def test_a_proxy_that_passes_everything_on_passes() -> None:
    assert evaluate(FINE, SYNAPSE, 0.5) == Passed(0.5, None)


def test_without_any_answer_nothing_is_known() -> None:
    """Neither a success nor a failure."""
    assert evaluate(OPEN, SYNAPSE, 0.5) is SKIPPED


def test_tells_every_fault_once() -> None:
    """Both ways of finding out that paths are decoded may agree."""
    assert reasons(evaluate(ProxyResponses(UNAUTHORIZED, UNRECOGNIZED, VERSION, PAGE, 413), SYNAPSE, 0.5)) == [
        Reason.PATH_DECODED,
        Reason.CATCH_ALL,
        Reason.BODY_LIMIT,
    ]


# ---------------------------------------------------------------- an encoded slash


@pytest.mark.parametrize(
    ("plain", "encoded", "expected"),
    [
        (UNAUTHORIZED, UNAUTHORIZED, "Passed"),
        (FORBIDDEN, FORBIDDEN, "Passed"),
        (UNAUTHORIZED, UNRECOGNIZED, [Reason.PATH_DECODED]),
        (FORBIDDEN, UNRECOGNIZED, [Reason.PATH_DECODED]),
        (UNAUTHORIZED, PAGE_404, [Reason.PATH_DECODED]),
        (UNAUTHORIZED, FORBIDDEN, "Skipped"),
        (UNAUTHORIZED, BAD_GATEWAY, "Skipped"),
        (UNAUTHORIZED, None, "Skipped"),
        (None, UNRECOGNIZED, "Skipped"),
        (PAGE_404, PAGE_404, "Skipped"),
        (PAGE_403, PAGE_403, "Skipped"),
        (PAGE_403, PAGE_404, "Skipped"),
        (UNRECOGNIZED, UNRECOGNIZED, "Skipped"),
        (PAGE, PAGE_404, "Skipped"),
    ],
)
def test_encoded_slash(plain: HttpResponse | None, encoded: HttpResponse | None, expected: list[Reason] | str) -> None:
    """The same refusal by the homeserver for both paths is right; where the first is no refusal, nothing is known."""
    assert reasons(evaluate(replace(OPEN, plain=plain, encoded=encoded), None, 0.5)) == expected


def test_says_what_was_asked() -> None:
    detail = f"{PLAIN_PATH} reaches the homeserver, {ENCODED_SLASH_PATH} does not (status 404)"
    answers = replace(OPEN, plain=UNAUTHORIZED, encoded=UNRECOGNIZED)
    assert evaluate(answers, None, 0.5) == Failed(0.5, (Problem(Reason.PATH_DECODED, detail),))


# ---------------------------------------------------------------- a letter that is encoded without need


@pytest.mark.parametrize(
    ("software", "spelled", "expected"),
    [
        (SYNAPSE, UNRECOGNIZED, "Passed"),
        (SYNAPSE, VERSION, [Reason.PATH_DECODED]),
        (SYNAPSE, PAGE_404, "Skipped"),
        (SYNAPSE, None, "Skipped"),
        (CONDUIT, VERSION, "Skipped"),
        (CONDUIT, UNRECOGNIZED, "Skipped"),
        (None, VERSION, "Skipped"),
    ],
)
def test_spelled_path(software: Software | None, spelled: HttpResponse | None, expected: list[Reason] | str) -> None:
    """Only of a homeserver that is known not to decode paths itself."""
    assert reasons(evaluate(replace(OPEN, spelled=spelled), software, 0.5)) == expected


# ---------------------------------------------------------------- a path that nobody knows


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (UNRECOGNIZED, "Passed"),
        (PAGE, [Reason.CATCH_ALL]),
        (received(Response(204)), [Reason.CATCH_ALL]),
        (PAGE_404, "Skipped"),
        (PAGE_403, "Skipped"),
        (BAD_GATEWAY, "Skipped"),
        (None, "Skipped"),
    ],
)
def test_unknown_path(unknown: HttpResponse | None, expected: list[Reason] | str) -> None:
    """The homeserver must say that it does not know it; a page that says so may be anybody's."""
    assert reasons(evaluate(replace(OPEN, unknown=unknown), None, 0.5)) == expected


# ---------------------------------------------------------------- a large body


@pytest.mark.parametrize(
    ("announced", "expected"),
    [(100, "Passed"), (401, "Passed"), (413, [Reason.BODY_LIMIT]), (405, [Reason.HTTP_STATUS]), (None, "Skipped")],
)
def test_large_body(announced: int | None, expected: list[Reason] | str) -> None:
    """What PUT meets where GET reaches the homeserver: see `test_proxy_verdicts`."""
    answers = replace(OPEN, plain=UNAUTHORIZED, large_put_status=announced)
    assert reasons(evaluate(answers, None, 0.5)) == expected


# ---------------------------------------------------------------- what is asked

HERE = "192.0.2.1:8448"


async def test_asks_five_small_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `Host` as it should be, and names that nobody has; the last question is not timed."""
    numbers = itertools.count(1)
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}}")
    network = FakeNetwork(
        servers={HERE: Server(handshake("hs.test"), {PLAIN_PATH: UNAUTHORIZED, ENCODED_SLASH_PATH: UNAUTHORIZED})}
    )
    ip, port = ip_endpoint(HERE)
    with closing(network.connection(Endpoint(Target("hs.test", port), ip))) as connection:
        await connection.open()
        outcome = await proxy.run(connection, "hs.test:8448", SYNAPSE, Deadline.for_probe(5))
    host = f"{HERE} hs.test:8448"
    assert network.asked[1:-1] == [
        f"GET {host}{PLAIN_PATH}",
        f"GET {host}{ENCODED_SLASH_PATH}",
        f"GET {host}{ENCODED_LETTER_PATH}",
        f"GET {host}/_matrix/federation/v1/0000000000000001",
        f"PUT {host}/_matrix/federation/v1/send/0000000000000002",
    ]
    assert isinstance(outcome, Passed)
    assert outcome.seconds == pytest.approx(4 * GET_SECONDS)
