"""What a request for a room alias adds to the stage `proxy`."""

import pytest

from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem, ResponseSummary
from exporter.model.reasons import Reason
from exporter.model.report import Answers
from exporter.probing.stages.proxy import add_fault

DECODED = Problem(Reason.PATH_DECODED, "decoded")
PASSED: Outcome[None] = Passed(0.5, None)
FAILED: Outcome[None] = Failed(0.5, (DECODED,))


@pytest.mark.parametrize(
    "directory", [None, ResponseSummary(401, "M_UNAUTHORIZED"), ResponseSummary(404, "M_UNRECOGNIZED")]
)
def test_there_is_no_fault_if_the_homeserver_may_have_answered(directory: ResponseSummary | None) -> None:
    """A request without a response shows nothing."""
    assert Answers(directory=directory).lookup_fault is None


@pytest.mark.parametrize("directory", [ResponseSummary(404, None), ResponseSummary(200, None)])
def test_a_request_that_does_not_reach_the_homeserver_is_a_fault(directory: ResponseSummary) -> None:
    """The detail says what came back."""
    fault = Answers(directory=directory).lookup_fault
    assert fault is not None
    assert (fault.reason, fault.response) == (Reason.NOT_FORWARDED, directory)
    assert fault.detail == f"a request for a room alias returns status {directory.status} and no Matrix error"


@pytest.mark.parametrize("outcome", [PASSED, FAILED, SKIPPED])
def test_without_a_fault_the_outcome_stays(outcome: Outcome[None]) -> None:
    assert add_fault(outcome, None) is outcome


def test_the_fault_is_the_first_problem() -> None:
    """Nothing else matters as much."""
    fault = Problem(Reason.NOT_FORWARDED, "lost")
    assert add_fault(PASSED, fault) == Failed(0.5, (fault,))
    assert add_fault(FAILED, fault) == Failed(0.5, (fault, DECODED))
    assert add_fault(SKIPPED, fault) == Failed(0.0, (fault,))
