"""What a deep look sees behind a certificate that does not verify, over real sockets."""

import pytest

from exporter.demo.authority import EXPIRED, Authority
from exporter.demo.homeserver import Homeserver, key_id, publish_keys_of_another_server
from exporter.demo.https_server import HttpsServer, Site
from exporter.internet import Internet
from exporter.judging import verdict
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.outcomes import Failed, Passed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing.prober import Prober
from tests.addresses import ip_endpoint

pytestmark = pytest.mark.lab

SERVER = "192.0.2.1"


async def look_deeply(authority: Authority, homeserver: Homeserver) -> Report:
    """Return the report of a homeserver with an expired certificate, after a deep look."""
    server = HttpsServer()
    server.certificates[SERVER] = authority.issue([SERVER], EXPIRED).server_context()
    server.sites[SERVER] = Site(fallback=homeserver.respond)
    await server.start()
    try:
        connect_to = {f"{SERVER}:8448": ip_endpoint(server.address)}
        prober = Prober(Internet(timeout=5, ca_file=authority.ca_file, connect_to=connect_to), 5.0)
        report = await prober.probe(names.parse(SERVER))
        assert list(server.requests) == []
        return await prober.run_deep_look(report)
    finally:
        await server.stop()


async def test_the_right_homeserver_answers_behind_a_bad_certificate(authority: Authority) -> None:
    """Its keys are checked against the server name. That is no success of any stage."""
    homeserver = Homeserver(SERVER)
    report = await look_deeply(authority, homeserver)
    keys = report.endpoints[0].keys_behind_bad_certificate
    assert isinstance(keys, Passed)
    assert list(keys.found.keys) == [key_id(homeserver.key)]
    assert [stage for stage, of in verdict.stages(report).items() if of.ok] == [Stage.DNS, Stage.TCP]
    assert not verdict.federates(report)
    assert verdict.signing_keys(report) is None


async def test_another_homeserver_answers_behind_a_bad_certificate(authority: Authority) -> None:
    homeserver = Homeserver(SERVER)
    homeserver.publish_keys = publish_keys_of_another_server
    keys = (await look_deeply(authority, homeserver)).endpoints[0].keys_behind_bad_certificate
    assert isinstance(keys, Failed)
    assert [problem.reason for problem in keys.problems] == [Reason.SERVER_NAME_MISMATCH]
