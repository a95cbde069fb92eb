"""What every target asks of what it gets back."""

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
MAX_DETAIL_CHARACTERS = 2000  # a page of text: more than any sentence of ours, less than what a remote can send


@cache
def loop() -> asyncio.AbstractEventLoop:
    """One for all executions: to make a new one takes longer than most of them."""
    made = asyncio.new_event_loop()
    atexit.register(made.close)
    return made


def run(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    return loop().run_until_complete(coroutine)


def attempted(
    step: Step, look: Coroutine[Any, Any, Evidence], read: Callable[[Evidence], Found | Failure[Found]]
) -> Passed[Found] | Failed[Found]:
    """The outcome as a probe has it; its problems are in order."""
    outcome = run(attempt(step, look, read, Deadline.for_probe(60)))
    if isinstance(outcome, Failed):
        assert outcome.problems
        in_order(outcome.problems)
    return outcome


async def brought(evidence: Evidence) -> Evidence:
    """A look that brings this back."""
    return evidence


def in_order(problems: Iterable[Problem]) -> None:
    """What users and terminals meet: a reason from the closed list, and one printable sentence of bounded length."""
    for problem in problems:
        assert isinstance(problem.reason, Reason)
        assert problem.reason is not Reason.INTERNAL_ERROR, problem
        one_line(problem.detail)


def one_line(text: str) -> None:
    assert text
    assert text.isprintable(), ascii(text)
    assert len(text) <= MAX_DETAIL_CHARACTERS, len(text)


def answer_of(written: bytes) -> HttpResponse:
    """`status`, headers, an empty line and the body; what is missing is as the most usual answer has it."""
    head, _, body = written.partition(b"\n\n")
    status, *lines = head.decode("latin-1").split("\n")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    return HttpResponse(
        int(status) if status.isascii() and status.isdecimal() and len(status) < 4 else 200, headers, body
    )
