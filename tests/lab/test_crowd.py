import json

from exporter.demo.federation import Federation
from exporter.demo.homeserver import KEYS
from exporter.demo.https_server import WELL_KNOWN
from tests.demo.independent_clients import get
from tests.lab.crowd import crowd

FIRST, LAST = "s1.many.lab.test", "s1000.many.lab.test"


async def test_a_thousand_servers_are_not_expensive() -> None:
    """They share one listener and one certificate, and each has a signing key of its own."""
    async with Federation(crowd(1000)) as federation:
        assert len(federation.servers) == 1000
        first, last = federation.server(FIRST), federation.server(LAST)
        assert first.listener is last.listener is last.website
        assert len(set(first.listener.certificates.values())) == 1
        for name in (FIRST, LAST):
            address = federation.connect_to["203.0.113.250:443"]
            delegation, keys = [await get(address, name, federation.ca_file, path) for path in (WELL_KNOWN, KEYS)]
            assert json.loads(delegation.body) == {"m.server": f"{name}:443"}
            assert json.loads(keys.body)["server_name"] == name
        assert first.homeserver.key is not last.homeserver.key
