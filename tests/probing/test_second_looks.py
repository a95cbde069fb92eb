"""Second looks at an endpoint, in a network written as tables."""

from dataclasses import replace

import pytest
from OpenSSL import SSL

from exporter.model import names
from exporter.model.enums import Means
from exporter.model.outcomes import Failed, Passed
from exporter.model.report import SecondLook
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import VerifyError
from exporter.probing.network import NotTlsError
from exporter.probing.prober import Prober
from exporter.probing.second_looks import SecondLooks
from exporter.probing.stages import version
from tests.certificates import handshake
from tests.fake_world import FakeNetwork, Reaction, Server, healthy_homeserver

ADDRESS = "192.0.2.1:8448"
HOMESERVER = healthy_homeserver("192.0.2.1", "192.0.2.1")
EXPIRED = replace(HOMESERVER, handshake=handshake("192.0.2.1", errors=[VerifyError(10, 0)]))
REFUSED = SSL.Error([("SSL routines", "", "sslv3 alert handshake failure")])


async def looks(server: Reaction[Server]) -> tuple[SecondLooks, FakeNetwork]:
    """Return the second looks after a probe of a server."""
    network = FakeNetwork(servers={ADDRESS: server})
    report = await Prober(network, 5.0).probe(names.parse("192.0.2.1"))
    network.calls.clear()
    return SecondLooks(network, report, report.endpoints[0], Deadline.for_probe(5.0)), network


def shows(look: SecondLook | None) -> Means | None:
    """Return the means of a look that got the keys."""
    if look is None:
        return None
    assert isinstance(look.answers.keys, Passed)
    assert look.answers.reached
    return look.means


async def test_the_keys_behind_a_bad_certificate_are_seen() -> None:
    """The TLS of the look still fails."""
    second, network = await looks(EXPIRED)
    look = await second.past_tls()
    assert shows(look) is Means.UNVERIFIED
    assert look is not None
    assert isinstance(look.answers.tls, Failed)
    assert network.calls[-1] == f"close {ADDRESS}"


@pytest.mark.parametrize(
    ("server", "means"),
    [
        (replace(HOMESERVER, handshake=REFUSED, finite_field_handshake=HOMESERVER.handshake), Means.FINITE_FIELD),
        (replace(HOMESERVER, handshake=REFUSED), None),
        (replace(HOMESERVER, handshake=NotTlsError("SSH"), finite_field_handshake=HOMESERVER.handshake), None),
    ],
    ids=["finite field", "nothing", "not TLS"],
)
async def test_a_refused_handshake_is_tried_with_finite_fields(server: Server, means: Means | None) -> None:
    """Other failures of TLS are not."""
    second, _ = await looks(server)
    assert shows(await second.past_tls()) is means


async def test_a_session_that_is_refused_after_the_handshake_shows_nothing() -> None:
    """Its certificate is good, and no other means leads past the refusal."""
    refused = SSL.Error([("SSL routines", "", "tlsv13 alert certificate required")])
    second, network = await looks(replace(HOMESERVER, pages={version.PATH: refused}))
    assert isinstance(second.endpoint.tls, Failed)
    assert (await second.past_tls(), network.calls) == (None, [])


async def test_a_homeserver_may_see_more() -> None:
    """A filter may know its User-Agent."""
    second, network = await looks(replace(HOMESERVER, pages={}, pages_for_homeservers=HOMESERVER.pages))
    assert shows(await second.as_a_homeserver()) is Means.HOMESERVER_AGENT
    assert len([line for line in network.calls if " as Synapse/" in line]) == 2


@pytest.mark.parametrize(
    ("spoken", "broken"), [(None, False), (True, False), (False, True), (ConnectionResetError(104, "reset"), False)]
)
async def test_only_a_server_that_chooses_http2_can_break_it(spoken: Reaction[bool | None], *, broken: bool) -> None:
    """A connection that fails shows nothing."""
    second, _ = await looks(replace(HOMESERVER, speaks_http2=spoken))
    assert await second.http2_broken() is broken


async def test_an_endpoint_that_is_gone_shows_nothing() -> None:
    """It accepted connections a moment ago."""
    second, network = await looks(EXPIRED)
    network.servers.clear()
    assert (await second.past_tls(), await second.as_a_homeserver(), await second.http2_broken()) == (None, None, False)
