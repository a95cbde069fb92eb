"""What the stage `proxy` requests, and how it evaluates the responses that real proxies and homeservers give."""

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
from exporter.probing.stages.proxy import (
    ENCODED_LETTER_PATH,
    ENCODED_SLASH_PATH,
    PLAIN_PATH,
    ProxyResponses,
    evaluate,
    run_checks,
)
from tests.addresses import ip_endpoint
from tests.certificates import handshake
from tests.fake_world import GET_SECONDS, FakeNetwork, Server, http_response

SYNAPSE, CONDUIT = Software("Synapse", "1.163.2"), Software("Tuwunel", "1.4")


def error(status: int, errcode: str) -> HttpResponse:
    return http_response(json_response({"errcode": errcode, "error": "a sentence"}, status))


def page(status: int) -> HttpResponse:
    return http_response(Response(status, (HTML,), b"<!doctype html>"))


UNAUTHORIZED, FORBIDDEN = error(401, "M_UNAUTHORIZED"), error(403, "M_FORBIDDEN")
UNRECOGNIZED = error(404, "M_UNRECOGNIZED")
VERSION = http_response(json_response({"server": {"name": "Synapse", "version": "1.163.2"}}))

NOTHING = ProxyResponses(plain=None, encoded_slash=None, encoded_letter=None, unknown_path=None, large_put_status=None)
FINE = ProxyResponses(UNAUTHORIZED, UNAUTHORIZED, UNRECOGNIZED, UNRECOGNIZED, 100)


def summarize(outcome: Outcome[None]) -> list[Reason] | str:
    """Return the reasons of a failure, or how else the stage ended."""
    return [problem.reason for problem in outcome.problems] if isinstance(outcome, Failed) else type(outcome).__name__


# ---------------------------------------------------------------- all checks together


def test_a_proxy_that_forwards_everything_passes() -> None:
    """Every check is conclusive and finds no fault."""
    assert run_checks(FINE, SYNAPSE) == (True, True, True, True)
    assert evaluate(FINE, SYNAPSE, 0.5) == Passed(0.5, None)


def test_without_any_response_the_stage_is_inconclusive() -> None:
    """It neither passes nor fails."""
    assert run_checks(NOTHING, SYNAPSE) == (False, False, False, False)
    assert evaluate(NOTHING, SYNAPSE, 0.5) is SKIPPED


def test_every_fault_is_reported_once() -> None:
    """Two checks may both find that paths are decoded."""
    assert summarize(evaluate(ProxyResponses(UNAUTHORIZED, UNRECOGNIZED, VERSION, page(200), 413), SYNAPSE, 0.5)) == [
        Reason.PATH_DECODED,
        Reason.CATCH_ALL,
        Reason.BODY_LIMIT,
    ]


# ---------------------------------------------------------------- an encoded slash


@pytest.mark.parametrize(
    ("plain", "encoded_slash", "expected"),
    [
        (UNAUTHORIZED, UNAUTHORIZED, "Passed"),
        (FORBIDDEN, FORBIDDEN, "Passed"),
        (UNAUTHORIZED, UNRECOGNIZED, [Reason.PATH_DECODED]),
        (FORBIDDEN, UNRECOGNIZED, [Reason.PATH_DECODED]),
        (UNAUTHORIZED, page(404), [Reason.PATH_DECODED]),
        (UNAUTHORIZED, FORBIDDEN, "Skipped"),
        (UNAUTHORIZED, page(502), "Skipped"),
        (UNAUTHORIZED, None, "Skipped"),
        (None, UNRECOGNIZED, "Skipped"),
        (page(404), page(404), "Skipped"),
        (page(403), page(403), "Skipped"),
        (page(403), page(404), "Skipped"),
        (UNRECOGNIZED, UNRECOGNIZED, "Skipped"),
        (page(200), page(404), "Skipped"),
    ],
)
def test_encoded_slash(
    plain: HttpResponse | None, encoded_slash: HttpResponse | None, expected: list[Reason] | str
) -> None:
    """The homeserver must refuse both paths alike. If it does not refuse the first, the check is inconclusive."""
    assert summarize(evaluate(replace(NOTHING, plain=plain, encoded_slash=encoded_slash), None, 0.5)) == expected


def test_the_detail_names_both_paths() -> None:
    """An administrator can repeat the requests."""
    detail = f"{PLAIN_PATH} reaches the homeserver, but {ENCODED_SLASH_PATH} does not (status 404)"
    responses = replace(NOTHING, plain=UNAUTHORIZED, encoded_slash=UNRECOGNIZED)
    assert evaluate(responses, None, 0.5) == Failed(0.5, (Problem(Reason.PATH_DECODED, detail),))


# ---------------------------------------------------------------- a letter that is encoded without need


@pytest.mark.parametrize(
    ("encoded_letter", "software", "expected"),
    [
        pytest.param(UNRECOGNIZED, SYNAPSE, "Passed", id="unknown to the homeserver"),
        pytest.param(page(404), SYNAPSE, "Skipped", id="unknown to another program"),
        pytest.param(page(200), SYNAPSE, "Skipped", id="a page for every unknown path"),
        pytest.param(None, SYNAPSE, "Skipped", id="no response"),
        pytest.param(VERSION, CONDUIT, "Skipped", id="a homeserver that may decode paths itself"),
        pytest.param(UNRECOGNIZED, CONDUIT, "Skipped", id="a homeserver that may not decode paths itself"),
        pytest.param(VERSION, Software("Other", "1"), "Skipped", id="an unknown homeserver"),
        pytest.param(VERSION, None, "Skipped", id="an unknown version"),
    ],
)
def test_encoded_letter(
    encoded_letter: HttpResponse | None, software: Software | None, expected: list[Reason] | str
) -> None:
    """Only a homeserver that is known to compare raw paths proves anything."""
    assert summarize(evaluate(replace(NOTHING, encoded_letter=encoded_letter), software, 0.5)) == expected


def test_a_version_proves_that_the_path_was_decoded() -> None:
    """A homeserver that compares raw paths only returns its version if the proxy decoded the path."""
    detail = f"{ENCODED_LETTER_PATH} returns the homeserver's version: the path was decoded"
    responses = replace(NOTHING, encoded_letter=VERSION)
    assert evaluate(responses, SYNAPSE, 0.5) == Failed(0.5, (Problem(Reason.PATH_DECODED, detail),))


# ---------------------------------------------------------------- a path that does not exist


@pytest.mark.parametrize(
    ("unknown_path", "expected"),
    [
        (UNRECOGNIZED, "Passed"),
        (page(200), [Reason.CATCH_ALL]),
        (http_response(Response(204)), [Reason.CATCH_ALL]),
        (page(404), "Skipped"),
        (page(403), "Skipped"),
        (page(502), "Skipped"),
        (None, "Skipped"),
    ],
)
def test_unknown_path(unknown_path: HttpResponse | None, expected: list[Reason] | str) -> None:
    """The homeserver itself must say that it does not recognise the path: any program can return a page."""
    assert summarize(evaluate(replace(NOTHING, unknown_path=unknown_path), None, 0.5)) == expected


# ---------------------------------------------------------------- a large PUT, before its body is sent


def large_put(plain: HttpResponse | None, status: int | None) -> Outcome[None]:
    return evaluate(replace(NOTHING, plain=plain, large_put_status=status), None, 0.5)


@pytest.mark.parametrize(
    ("plain", "status", "expected"),
    [
        pytest.param(UNAUTHORIZED, 100, "Passed", id="told to continue"),
        pytest.param(UNAUTHORIZED, 401, "Passed", id="refused like GET"),
        pytest.param(FORBIDDEN, 403, "Passed", id="refused like GET, by a homeserver that says 403"),
        pytest.param(UNAUTHORIZED, None, "Skipped", id="silence"),
        pytest.param(UNAUTHORIZED, 417, "Skipped", id="Expect itself refused"),
        pytest.param(UNAUTHORIZED, 502, "Skipped", id="homeserver gone since"),
        pytest.param(page(404), 100, "Skipped", id="accepted by another program"),
        pytest.param(page(404), 405, "Skipped", id="refused by another program"),
        pytest.param(page(401), 401, "Skipped", id="everything refused by another program"),
        pytest.param(None, 100, "Skipped", id="no response to GET"),
    ],
)
def test_a_large_put_without_a_fault(plain: HttpResponse | None, status: int | None, expected: str) -> None:
    """It passes only if GET reaches a homeserver."""
    assert summarize(large_put(plain, status)) == expected


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_refused_method_is_a_fault(status: int) -> None:
    """If GET reaches the homeserver and PUT does not, something in between refuses the method."""
    detail = f"PUT returns status {status}, but GET reaches the homeserver (status 401)"
    assert large_put(UNAUTHORIZED, status) == Failed(0.5, (Problem(Reason.HTTP_STATUS, detail),))


@pytest.mark.parametrize("plain", [UNAUTHORIZED, page(404), None])
def test_a_refused_size_is_a_fault(plain: HttpResponse | None) -> None:
    """Any program that says that a body is too large has a limit, no matter what is behind it."""
    detail = "a body of 4 MiB is refused (status 413), but a transaction may be that large"
    assert large_put(plain, 413) == Failed(0.5, (Problem(Reason.BODY_LIMIT, detail),))


# ---------------------------------------------------------------- the requests

ADDRESS = "192.0.2.1:8448"


async def test_sends_five_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the right `Host`; names that must not exist are random; the last request is not timed."""
    numbers = itertools.count(1)
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}}")
    network = FakeNetwork(
        servers={ADDRESS: Server(handshake("hs.test"), {PLAIN_PATH: UNAUTHORIZED, ENCODED_SLASH_PATH: UNAUTHORIZED})}
    )
    ip, port = ip_endpoint(ADDRESS)
    with closing(network.connection(Endpoint(Target("hs.test", port), ip))) as connection:
        await connection.open()
        outcome = await proxy.run(connection, "hs.test:8448", SYNAPSE, Deadline.for_probe(5))
    host = f"{ADDRESS} hs.test:8448"
    assert network.calls[1:-1] == [
        f"GET {host}{PLAIN_PATH}",
        f"GET {host}{ENCODED_SLASH_PATH}",
        f"GET {host}{ENCODED_LETTER_PATH}",
        f"GET {host}/_matrix/federation/v1/0000000000000001",
        f"PUT {host}/_matrix/federation/v1/send/0000000000000002",
    ]
    assert isinstance(outcome, Passed)
    assert outcome.seconds == pytest.approx(4 * GET_SECONDS)
