"""The last question of the stage `proxy`: what becomes of a large PUT before its body is sent."""

import pytest

from exporter.model import Problem, Reason
from exporter.network import HttpAnswer
from exporter.stages.proxy import Verdict, large_put

UNAUTHORIZED = HttpAnswer(401, (), b'{"errcode":"M_UNAUTHORIZED","error":"Missing Authorization headers"}')
FORBIDDEN = HttpAnswer(403, (), b'{"errcode":"M_FORBIDDEN"}')
PAGE = HttpAnswer(404, (), b"<html>404</html>")
PAGE_FOR_MEMBERS = HttpAnswer(401, (), b"<html>401</html>")

FINE, INCONCLUSIVE = True, False


@pytest.mark.parametrize(
    ("plain", "status", "expected"),
    [
        pytest.param(UNAUTHORIZED, 100, FINE, id="asked to go on"),
        pytest.param(UNAUTHORIZED, 401, FINE, id="refused as GET is"),
        pytest.param(FORBIDDEN, 403, FINE, id="refused as GET is, by a homeserver that says 403"),
        pytest.param(UNAUTHORIZED, None, INCONCLUSIVE, id="silence"),
        pytest.param(UNAUTHORIZED, 417, INCONCLUSIVE, id="the question itself refused"),
        pytest.param(UNAUTHORIZED, 502, INCONCLUSIVE, id="homeserver gone since"),
        pytest.param(PAGE, 100, INCONCLUSIVE, id="accepted by somebody else"),
        pytest.param(PAGE, 405, INCONCLUSIVE, id="refused by somebody else"),
        pytest.param(PAGE_FOR_MEMBERS, 401, INCONCLUSIVE, id="everything refused by somebody else"),
        pytest.param(None, 100, INCONCLUSIVE, id="no answer to GET"),
    ],
)
def test_no_fault(plain: HttpAnswer | None, status: int | None, expected: Verdict) -> None:
    """There is none only where a homeserver is behind the answer."""
    assert large_put(plain, status) is expected


@pytest.mark.parametrize("status", [403, 405, 501])
def test_put_refused(status: int) -> None:
    """GET gets through, PUT does not: somebody in between refuses the method."""
    assert large_put(UNAUTHORIZED, status) == Problem(
        Reason.HTTP_STATUS, f"PUT is answered with status {status}, GET reaches the homeserver (status 401)"
    )


@pytest.mark.parametrize("plain", [UNAUTHORIZED, PAGE, None])
def test_body_refused(plain: HttpAnswer | None) -> None:
    """Whoever says that a body is too large has a limit, wherever it leads."""
    assert large_put(plain, 413) == Problem(
        Reason.BODY_LIMIT, "a body of 4 MiB is refused (status 413), a transaction may be as large"
    )
