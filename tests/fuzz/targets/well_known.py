"""The well-known: its body, its headers and its redirects."""

from exporter.internet.http import HttpRequest
from exporter.model import names
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing import freshness
from exporter.probing.stages.web_servers import summarize
from exporter.probing.stages.well_known import PATH, Hop, Url, evaluate, redirect_target
from tests.fuzz.targets.checks import check_problems, parse_response

START = Url(names.parse("example.test"), PATH)


def well_known(data: bytes) -> None:
    """A delegation with a bounded cache period, or problems."""
    hop = Hop(0.1, response=parse_response(data))
    for visited in ((), (START,)):
        evaluated = evaluate(hop, visited)
        if isinstance(evaluated, Failure):
            check_problems(evaluated.problems)
        delegation = evaluated.found if isinstance(evaluated, Failure) else evaluated
        assert delegation
        assert delegation.response
        assert 0 <= delegation.cache_seconds <= freshness.MAX_SECONDS
        assert (delegation.response.announced_seconds or 0) >= 0
        if delegation.server:
            assert names.parse(delegation.server.text) == delegation.server
    assert summarize(hop).isprintable()


def follow(location: str, *visited: Url) -> Url | Problem:
    return redirect_target(START, HttpResponse(302, (("location", location),), b""), visited)


def redirect(data: bytes) -> None:
    """A URL that can be requested, and that is unchanged by parsing, or a problem."""
    location = data.decode("latin-1")
    following = follow(location, START)
    if isinstance(following, Problem):
        assert following.reason is Reason.REDIRECT
        check_problems([following])
        return
    assert list(HttpRequest(following.path, following.authority.text).events())
    assert following.path.startswith("/")
    assert follow(str(following), START) == following
    loop = follow(location, START, following)
    assert isinstance(loop, Problem)
    check_problems([loop])
