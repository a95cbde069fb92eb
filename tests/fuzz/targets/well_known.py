"""The well-known: its body and headers, and where a redirect leads."""

from exporter.internet.http import HttpRequest
from exporter.model import names
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing import freshness
from exporter.probing.stages.well_known import PATH, Hop, HttpsUrl, evaluate, redirect_target, summarize
from tests.fuzz.targets.judging import answer_of, in_order

HERE = HttpsUrl(names.parse("example.test"), PATH)


def well_known(written: bytes) -> None:
    """A delegation that says what the body says and is kept for a bounded time, or problems that can be shown."""
    visit = Hop(0.1, response=answer_of(written))
    for redirected in (False, True):
        reading = evaluate(visit, redirected=redirected)
        if isinstance(reading, Failure):
            in_order(reading.problems)
        delegation = reading.found if isinstance(reading, Failure) else reading
        assert delegation
        assert delegation.response
        assert 0 <= delegation.cache_seconds <= freshness.MAX_SECONDS
        assert (delegation.response.announced_seconds or 0) >= 0
        if delegation.server:
            assert names.parse(delegation.server.text) == delegation.server
    assert summarize(visit).isprintable()


def leads_to(location: str, *visited: HttpsUrl) -> HttpsUrl | Problem:
    return redirect_target(HERE, HttpResponse(302, (("location", location),), b""), visited)


def redirect(written: bytes) -> None:
    """A page that can be asked for, and that is the same when it is written down, or a problem."""
    location = written.decode("latin-1")
    following = leads_to(location, HERE)
    if isinstance(following, Problem):
        assert following.reason is Reason.REDIRECT
        in_order([following])
        return
    assert list(HttpRequest(following.path, following.authority.text).events())
    assert following.path.startswith("/")
    assert leads_to(str(following), HERE) == following
    loop = leads_to(location, HERE, following)
    assert isinstance(loop, Problem)
    in_order([loop])
