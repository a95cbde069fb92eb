"""The web servers of example.test and www.example.test, for the tests of the well-known."""

from exporter.demo.https_server import json_response, redirect
from exporter.model import names
from exporter.model.findings import Delegation
from exporter.model.outcomes import Failed, Passed
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages import well_known
from exporter.probing.stages.well_known import PATH
from tests.certificates import handshake
from tests.fake_world import FakeNetwork, Reaction, Server, http_response

EXAMPLE = "192.0.2.1:443"
WWW = "192.0.2.2:443"
DELEGATION = http_response(json_response({"m.server": "hs.example.test:443"}))
HS = names.parse("hs.example.test:443")

StageOutcome = Passed[Delegation] | Failed[Delegation]


def websites(**pages: Reaction[HttpResponse]) -> FakeNetwork:
    """Return a network with both web servers, which have the same pages. `well_known` is the page at its path."""
    by_path = {PATH if path == "well_known" else f"/{path}": response for path, response in pages.items()}
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "www.example.test": ("192.0.2.2",)},
        servers={
            EXAMPLE: Server(handshake("example.test"), by_path),
            WWW: Server(handshake("www.example.test"), by_path),
        },
    )


def redirect_to(location: str, status: int = 302) -> HttpResponse:
    return http_response(redirect(location, status))


async def run(network: FakeNetwork, within: float = 5.0, name: str = "example.test") -> StageOutcome:
    return await well_known.run(network, names.parse(name), Deadline.for_probe(within))


def requests(network: FakeNetwork) -> list[str]:
    """Return the host and path of every GET."""
    return [line.split(" ", 2)[2] for line in network.calls if line.startswith("GET")]


def reason(outcome: StageOutcome) -> Reason | None:
    """Return why the stage failed, or None if it passed."""
    return outcome.problems[0].reason if isinstance(outcome, Failed) else None


def absence(outcome: StageOutcome) -> Reason | None:
    """Return why there is no well-known, or None if there is one. The stage must have passed."""
    assert isinstance(outcome, Passed)
    return outcome.found.absent_because
