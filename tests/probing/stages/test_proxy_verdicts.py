"""What answers mean that real proxies give, and that are easily taken for something else."""

import pytest

from exporter.model.findings import Software
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages.proxy import ENCODED_LETTER_PATH, CheckResult, check_encoded_letter, check_large_put

UNAUTHORIZED = HttpResponse(401, (), b'{"errcode":"M_UNAUTHORIZED","error":"Missing Authorization headers"}')
FORBIDDEN = HttpResponse(403, (), b'{"errcode":"M_FORBIDDEN"}')
PAGE = HttpResponse(404, (), b"<html>404</html>")
PAGE_FOR_MEMBERS = HttpResponse(401, (), b"<html>401</html>")

FINE, INCONCLUSIVE = True, False

# ---------------------------------------------------------------- the path that spells version

SYNAPSE = Software("Synapse", "1.163.2")
ITS_VERSION = b'{"server":{"name":"Synapse","version":"1.163.2"}}'


@pytest.mark.parametrize(
    ("status", "body", "software", "expected"),
    [
        pytest.param(404, b'{"errcode":"M_UNRECOGNIZED"}', SYNAPSE, FINE, id="unknown to the homeserver"),
        pytest.param(404, b"<html>404</html>", SYNAPSE, INCONCLUSIVE, id="unknown to somebody else"),
        pytest.param(200, b"<html>Welcome</html>", SYNAPSE, INCONCLUSIVE, id="a page for whatever is unknown"),
        pytest.param(200, ITS_VERSION, Software("Other", "1"), INCONCLUSIVE, id="may decode by itself"),
        pytest.param(200, ITS_VERSION, None, INCONCLUSIVE, id="version not known"),
    ],
)
def test_spelled_path(status: int, body: bytes, software: Software | None, expected: CheckResult) -> None:
    """Only a version in the answer is proof that the path was decoded."""
    assert check_encoded_letter(HttpResponse(status, (), body), software) is expected


def test_spelled_path_decoded() -> None:
    """The homeserver, which compares paths as they come, answers with its version."""
    assert check_encoded_letter(HttpResponse(200, (), ITS_VERSION), SYNAPSE) == Problem(
        Reason.PATH_DECODED, f"{ENCODED_LETTER_PATH} is answered as if it were version: the path was decoded"
    )


# ---------------------------------------------------------------- a large PUT, before its body is sent


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
def test_no_fault(plain: HttpResponse | None, status: int | None, expected: CheckResult) -> None:
    """There is none only where a homeserver is behind the answer."""
    assert check_large_put(plain, status) is expected


@pytest.mark.parametrize("status", [403, 405, 501])
def test_put_refused(status: int) -> None:
    """GET gets through, PUT does not: somebody in between refuses the method."""
    assert check_large_put(UNAUTHORIZED, status) == Problem(
        Reason.HTTP_STATUS, f"PUT is answered with status {status}, GET reaches the homeserver (status 401)"
    )


@pytest.mark.parametrize("plain", [UNAUTHORIZED, PAGE, None])
def test_body_refused(plain: HttpResponse | None) -> None:
    """Whoever says that a body is too large has a limit, wherever it leads."""
    assert check_large_put(plain, 413) == Problem(
        Reason.BODY_LIMIT, "a body of 4 MiB is refused (status 413), a transaction may be as large"
    )
