"""What the response to a request for a room alias adds to the stage `proxy`."""

import pytest

from exporter.model.findings import DirectoryResponse
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.stages.proxy import add_directory

DECODED = Problem(Reason.PATH_DECODED, "decoded")
PASSED: Outcome[None] = Passed(0.5, None)
FAILED: Outcome[None] = Failed(0.5, (DECODED,))


@pytest.mark.parametrize("outcome", [PASSED, FAILED, SKIPPED])
@pytest.mark.parametrize(
    "directory", [None, DirectoryResponse(401, "M_UNAUTHORIZED"), DirectoryResponse(404, "M_UNRECOGNIZED")]
)
def test_the_outcome_stays_if_the_homeserver_may_have_answered(
    outcome: Outcome[None], directory: DirectoryResponse | None
) -> None:
    """A request without a response shows nothing."""
    assert add_directory(outcome, directory) is outcome


@pytest.mark.parametrize("directory", [DirectoryResponse(404, None), DirectoryResponse(200, None)])
def test_a_request_that_does_not_reach_the_homeserver_is_the_first_problem(directory: DirectoryResponse) -> None:
    """Nothing else matters as much."""
    fault = Problem(Reason.NOT_FORWARDED, directory.detail)
    assert add_directory(PASSED, directory) == Failed(0.5, (fault,))
    assert add_directory(FAILED, directory) == Failed(0.5, (fault, DECODED))
    assert add_directory(SKIPPED, directory) == Failed(0.0, (fault,))
