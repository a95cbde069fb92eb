"""The invariants that several targets check."""

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from typing import Any, TypeVar

from exporter.model.outcomes import Failed, Found, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline, Evidence, Failure, attempt
from exporter.probing.evidence import HttpResponse
from exporter.probing.problems import Step

Returned = TypeVar("Returned")
MAX_DETAIL_CHARACTERS = 2000  # a page of text: more than any sentence of the exporter, and less than a server can send


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return one event loop for all inputs: creating one takes longer than most inputs."""
    new_loop = asyncio.new_event_loop()
    atexit.register(new_loop.close)
    return new_loop


def run(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    return loop().run_until_complete(coroutine)


def run_attempt(
    step: Step, fetch: Coroutine[Any, Any, Evidence], evaluate: Callable[[Evidence], Found | Failure[Found]]
) -> Passed[Found] | Failed[Found]:
    """Return the outcome that a probe would have, and check its problems."""
    outcome = run(attempt(step, fetch, evaluate, Deadline.for_probe(60)))
    if isinstance(outcome, Failed):
        assert outcome.problems
        check_problems(outcome.problems)
    return outcome


async def returning(evidence: Evidence) -> Evidence:
    """Stand in for a fetch that returns this evidence."""
    return evidence


def check_problems(problems: Iterable[Problem]) -> None:
    """Check that each problem has a reason, but not an internal error, and one printable sentence of bounded length."""
    for problem in problems:
        assert isinstance(problem.reason, Reason)
        assert problem.reason is not Reason.INTERNAL_ERROR, problem
        check_sentence(problem.detail)


def check_sentence(text: str) -> None:
    assert text
    assert text.isprintable(), ascii(text)
    assert len(text) <= MAX_DETAIL_CHARACTERS, len(text)


def parse_response(data: bytes) -> HttpResponse:
    """Parse a status, headers, an empty line and a body. A missing status is 200."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.decode("latin-1").split("\n")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    return HttpResponse(
        int(status) if status.isascii() and status.isdecimal() and len(status) < 4 else 200, headers, body
    )
