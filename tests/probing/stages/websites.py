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
from tests.fake_world import FakeNetwork, Reaction, Server, received

HERE = "192.0.2.1:443"
ELSEWHERE = "192.0.2.2:443"
DELEGATION = received(json_response({"m.server": "hs.example.test:443"}))
HS = names.parse("hs.example.test:443")

Stage = Passed[Delegation] | Failed[Delegation]


def serving(**pages: Reaction[HttpResponse]) -> FakeNetwork:
    """example.test and www.example.test, with the same pages, `well_known` at its path and the others at theirs."""
    by_path = {PATH if path == "well_known" else f"/{path}": answer for path, answer in pages.items()}
    return FakeNetwork(
        hosts={"example.test": ("192.0.2.1",), "www.example.test": ("192.0.2.2",)},
        servers={
            HERE: Server(handshake("example.test"), by_path),
            ELSEWHERE: Server(handshake("www.example.test"), by_path),
        },
    )


def to(location: str, status: int = 302) -> HttpResponse:
    return received(redirect(location, status))


async def probe(network: FakeNetwork, within: float = 5.0, name: str = "example.test") -> Stage:
    return await well_known.run(network, names.parse(name), Deadline.for_probe(within))


def requests(network: FakeNetwork) -> list[str]:
    return [line.split(" ", 2)[2] for line in network.asked if line.startswith("GET")]


def reason(stage: Stage) -> Reason | None:
    """Why it failed; none where it passed."""
    return stage.problems[0].reason if isinstance(stage, Failed) else None


def absence(stage: Stage) -> Reason | None:
    assert isinstance(stage, Passed)
    return stage.found.absent_because
