"""What the stage `proxy` requests, and how it evaluates the responses that real proxies and homeservers give."""

import itertools
import secrets
from contextlib import closing
from dataclasses import replace

import pytest

from exporter.demo.https_server import HTML, Response, json_response
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, UnexpectedResponse
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import proxy
from exporter.probing.stages.proxy import (
    ENCODED_LETTER_PATH,
    ENCODED_PATHS,
    JOIN_PATH,
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

PATH, HASH_PATH = ENCODED_PATHS
NOTHING = ProxyResponses(
    plain=None, encoded={}, encoded_letter=None, unknown_path=None, send=None, join=None, large_put_status=None
)
FINE = ProxyResponses(
    plain=UNAUTHORIZED,
    encoded=dict.fromkeys(ENCODED_PATHS, UNAUTHORIZED),
    encoded_letter=UNRECOGNIZED,
    unknown_path=UNRECOGNIZED,
    send=UNAUTHORIZED,
    join=UNAUTHORIZED,
    large_put_status=401,
)


def outcome(responses: ProxyResponses, software: Software | None = None, *, keys_found: bool = True) -> Outcome[None]:
    return evaluate(responses, software, 0.5, keys_found=keys_found)


def summarize(outcome: Outcome[None]) -> list[Reason] | str:
    """Return the reasons of a failure, or how else the stage ended."""
    return [problem.reason for problem in outcome.problems] if isinstance(outcome, Failed) else type(outcome).__name__


def the_fault(seen: Outcome[None]) -> tuple[Reason, str]:
    """Return the only fault. Its detail also says who answered, which is left out here."""
    assert isinstance(seen, Failed)
    (problem,) = seen.problems
    assert isinstance(problem, UnexpectedResponse)
    detail, _, origin = problem.detail.partition("; ")
    assert origin == "; ".join(problem.response.origin)
    return problem.reason, detail


# ---------------------------------------------------------------- all checks together


def test_a_proxy_that_forwards_everything_passes() -> None:
    """Every check is conclusive and finds no fault."""
    assert run_checks(FINE, SYNAPSE, keys_found=True) == (True,) * 7
    assert outcome(FINE, SYNAPSE) == Passed(0.5, None)


def test_without_any_response_the_stage_is_inconclusive() -> None:
    """It neither passes nor fails."""
    assert not any(run_checks(NOTHING, SYNAPSE, keys_found=True))
    assert outcome(NOTHING, SYNAPSE) is SKIPPED


def test_every_fault_is_reported_once() -> None:
    """Three checks may all find that paths are decoded."""
    wrong = ProxyResponses(
        plain=UNAUTHORIZED,
        encoded=dict.fromkeys(ENCODED_PATHS, UNRECOGNIZED),
        encoded_letter=VERSION,
        unknown_path=page(200),
        send=UNAUTHORIZED,
        join=page(404),
        large_put_status=413,
    )
    assert summarize(outcome(wrong, SYNAPSE)) == [
        Reason.NOT_FORWARDED,
        Reason.PATH_DECODED,
        Reason.CATCH_ALL,
        Reason.BODY_LIMIT,
    ]


# ---------------------------------------------------------------- encoded paths


@pytest.mark.parametrize(
    ("plain", "encoded", "expected"),
    [
        (UNAUTHORIZED, UNAUTHORIZED, "Passed"),
        (FORBIDDEN, FORBIDDEN, "Passed"),
        (UNAUTHORIZED, UNRECOGNIZED, [Reason.PATH_DECODED]),
        (FORBIDDEN, UNRECOGNIZED, [Reason.PATH_DECODED]),
        *((UNAUTHORIZED, page(status), [Reason.PATH_DECODED]) for status in (200, 301, 307, 400, 401, 403, 404, 414)),
        (UNAUTHORIZED, FORBIDDEN, "Skipped"),
        *((UNAUTHORIZED, page(status), "Skipped") for status in (429, 502, 503, 504)),
        (UNAUTHORIZED, None, "Skipped"),
        (None, UNRECOGNIZED, "Skipped"),
        (page(404), page(404), "Skipped"),
        (page(403), page(403), "Skipped"),
        (page(403), page(404), "Skipped"),
        (UNRECOGNIZED, UNRECOGNIZED, "Skipped"),
        (page(200), page(404), "Skipped"),
    ],
)
@pytest.mark.parametrize("path", ENCODED_PATHS)
def test_encoded_path(
    path: str, plain: HttpResponse | None, encoded: HttpResponse | None, expected: list[Reason] | str
) -> None:
    """The homeserver must refuse both paths alike. If it does not refuse the first, the check is inconclusive."""
    responses = replace(NOTHING, plain=plain, encoded={path: encoded})
    assert summarize(outcome(responses, keys_found=False)) == expected


@pytest.mark.parametrize(
    ("encoded", "returned"),
    [(page(400), "status 400 and no Matrix error"), (UNRECOGNIZED, "status 404 and errcode M_UNRECOGNIZED")],
)
def test_the_detail_names_both_paths_and_both_statuses(encoded: HttpResponse, returned: str) -> None:
    """An administrator can repeat the requests."""
    detail = f"{PLAIN_PATH} reaches the homeserver (status 401), but {PATH} returns {returned}"
    responses = replace(FINE, encoded={PATH: encoded, HASH_PATH: encoded})
    assert the_fault(outcome(responses)) == (Reason.PATH_DECODED, detail)


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
    assert summarize(outcome(replace(NOTHING, encoded_letter=encoded_letter), software)) == expected


def test_a_version_proves_that_the_path_was_decoded() -> None:
    """A homeserver that compares raw paths only returns its version if the proxy decoded the path."""
    detail = f"{ENCODED_LETTER_PATH} returns the homeserver's version: the path was decoded"
    responses = replace(NOTHING, encoded_letter=VERSION)
    assert outcome(responses, SYNAPSE) == Failed(0.5, (Problem(Reason.PATH_DECODED, detail),))


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
    assert summarize(outcome(replace(NOTHING, unknown_path=unknown_path))) == expected


# ---------------------------------------------------------------- a small PUT with its body


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_refused_method_is_a_fault(status: int) -> None:
    """If GET reaches the homeserver and PUT does not, something in between refuses the method, in every version."""
    detail = f"PUT returns status {status} and no Matrix error, but GET reaches the homeserver (status 401)"
    responses = replace(FINE, send=page(status), join=page(status), large_put_status=100)
    assert the_fault(outcome(responses)) == (Reason.HTTP_STATUS, detail)


@pytest.mark.parametrize(
    ("plain", "send", "expected"),
    [
        pytest.param(UNAUTHORIZED, UNAUTHORIZED, True, id="refused like GET"),
        pytest.param(UNAUTHORIZED, FORBIDDEN, True, id="refused by a homeserver that says 403"),
        pytest.param(UNAUTHORIZED, UNRECOGNIZED, True, id="unknown to the homeserver"),
        pytest.param(UNAUTHORIZED, page(502), False, id="another answer of a proxy"),
        pytest.param(UNAUTHORIZED, None, False, id="silence"),
        pytest.param(page(404), page(405), False, id="GET answered by another program"),
        pytest.param(None, page(405), False, id="no response to GET"),
    ],
)
def test_a_method_is_refused_only_if_get_is_not(
    plain: HttpResponse | None, send: HttpResponse | None, *, expected: bool
) -> None:
    """Otherwise, the method is not what matters."""
    responses = replace(NOTHING, plain=plain, send=send)
    assert any(run_checks(responses, None, keys_found=False)) is expected


# ---------------------------------------------------------------- what is forwarded


@pytest.mark.parametrize(
    ("responses", "request_named"),
    [
        (replace(FINE, plain=page(404)), f"GET {PLAIN_PATH}"),
        (replace(FINE, send=page(404)), "PUT /_matrix/federation/v1/send"),
        (replace(FINE, join=page(404)), f"PUT {JOIN_PATH}"),
    ],
    ids=["event", "send", "v2"],
)
def test_every_request_must_reach_the_homeserver(responses: ProxyResponses, request_named: str) -> None:
    """The detail names the request and what came back."""
    detail = f"not answered by the homeserver: {request_named} (status 404)"
    assert the_fault(outcome(responses)) == (Reason.NOT_FORWARDED, detail)


def test_all_requests_that_are_not_forwarded_are_one_problem() -> None:
    """They have one cause."""
    responses = replace(FINE, plain=page(403), send=page(403), join=page(403), large_put_status=413)
    result = outcome(responses)
    assert isinstance(result, Failed)
    (problem,) = result.problems
    assert (problem.reason, problem.detail.count("status 403")) == (Reason.NOT_FORWARDED, 3)


@pytest.mark.parametrize("lost", [page(429), page(503), None], ids=["too many requests", "busy", "silence"])
def test_a_request_without_a_telling_response_is_inconclusive(lost: HttpResponse | None) -> None:
    """It may reach the homeserver another time."""
    responses = replace(NOTHING, plain=lost, send=lost, join=lost)
    assert outcome(responses) is SKIPPED


def test_without_keys_nothing_is_said_about_what_is_forwarded() -> None:
    """The stage `keys` says that the homeserver is out of reach."""
    responses = replace(NOTHING, plain=page(404), send=page(404), join=page(404))
    assert outcome(responses, keys_found=False) is SKIPPED


# ---------------------------------------------------------------- a large PUT, before its body is sent


def large_put(send: HttpResponse | None, status: int | None) -> Outcome[None]:
    return outcome(replace(NOTHING, send=send, large_put_status=status), keys_found=False)


@pytest.mark.parametrize(
    ("send", "status", "expected"),
    [
        pytest.param(UNAUTHORIZED, 401, "Passed", id="refused like a small one"),
        pytest.param(FORBIDDEN, 403, "Passed", id="refused like a small one, by a homeserver that says 403"),
        pytest.param(UNAUTHORIZED, 100, "Skipped", id="told to continue by whatever is in front"),
        pytest.param(UNAUTHORIZED, None, "Skipped", id="silence"),
        pytest.param(UNAUTHORIZED, 417, "Skipped", id="Expect itself refused"),
        pytest.param(UNAUTHORIZED, 502, "Skipped", id="homeserver gone since"),
        pytest.param(page(403), 100, "Skipped", id="method refused behind the proxy in front"),
        pytest.param(page(401), 401, "Skipped", id="everything refused by another program"),
        pytest.param(page(404), 413, "Skipped", id="a limit where nothing is forwarded"),
        pytest.param(None, 413, "Skipped", id="a limit where nothing comes back"),
    ],
)
def test_a_large_put_without_a_fault(send: HttpResponse | None, status: int | None, expected: str) -> None:
    """It shows something only if a small one reaches the homeserver."""
    assert summarize(large_put(send, status)) == expected


def test_a_refused_size_is_a_fault() -> None:
    """Any program that says that a body is too large has a limit, no matter what is behind it."""
    detail = "a body of 4 MiB is refused (status 413), but a transaction may be that large"
    assert large_put(UNAUTHORIZED, 413) == Failed(0.5, (Problem(Reason.BODY_LIMIT, detail),))


# ---------------------------------------------------------------- the requests

ADDRESS = "192.0.2.1:8448"
SEND = "/_matrix/federation/v1/send"


async def test_sends_eight_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the right `Host`; names that must not exist are random; the last request is not timed."""
    numbers = itertools.count(1)
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}}")
    pages = dict.fromkeys((PLAIN_PATH, *ENCODED_PATHS, JOIN_PATH, f"{SEND}/0000000000000002"), UNAUTHORIZED)
    network = FakeNetwork(servers={ADDRESS: Server(handshake("hs.test"), pages)})
    ip, port = ip_endpoint(ADDRESS)
    with closing(network.connection(Endpoint(Target("hs.test", port), ip))) as connection:
        await connection.open()
        result = await proxy.run(connection, "hs.test:8448", SYNAPSE, Deadline.for_probe(5), keys_found=True)
    host = f"{ADDRESS} hs.test:8448"
    assert network.calls[1:-1] == [
        f"GET {host}{PLAIN_PATH}",
        f"GET {host}{PATH}",
        f"GET {host}{HASH_PATH}",
        f"GET {host}{ENCODED_LETTER_PATH}",
        f"GET {host}/_matrix/federation/v1/0000000000000001",
        f"PUT {host}{SEND}/0000000000000002 {{}}",
        f"PUT {host}{JOIN_PATH} {{}}",
        f"PUT {host}{SEND}/0000000000000003",
    ]
    assert isinstance(result, Passed)
    assert result.seconds == pytest.approx(7 * GET_SECONDS)
