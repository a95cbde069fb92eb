"""The admin API of a real Synapse, as the source of a list."""

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from exporter.config import SynapseDestinations
from exporter.demo.authority import Authority
from exporter.demo.listener import LOOPBACK
from exporter.server_lists import synapse as admin_api
from exporter.server_lists.fetch import ListError
from exporter.server_lists.synapse import SynapseList as PeersOfSynapse
from tests.e2e.processes import log_on_failure
from tests.e2e.synapse import Synapse, synapse

pytestmark = pytest.mark.synapse

REGISTER = "/_synapse/admin/v1/register"
SECRET = "for registration"  # of administrators
LISTENER = {"type": "http", "port": 0, "bind_addresses": [LOOPBACK], "resources": [{"names": ["client"]}]}
PEERS = ["a.example", "b.example:8448", "c.example", "d.example", "e.example"]


@pytest.fixture
def homeserver(tmp_path: Path) -> Iterator[Synapse]:
    certificate = Authority(tmp_path).issue([LOOPBACK])
    changed = {"listeners": [LISTENER, LISTENER | {"tls": True}], "registration_shared_secret": SECRET}
    with synapse(tmp_path, "example.test", certificate, **changed) as started, log_on_failure(started.log):
        yield started


def token_of(homeserver: Synapse, name: str, *, admin: bool) -> str:
    """A new user's, as register_new_matrix_user makes them."""
    url = f"http://{homeserver.http_address}{REGISTER}"
    with httpx.Client(trust_env=False) as client:
        nonce = client.get(url).json()["nonce"]
        signed = "\0".join([nonce, name, "password", "admin" if admin else "notadmin"])
        mac = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha1).hexdigest()
        user = {"nonce": nonce, "username": name, "password": "password", "admin": admin, "mac": mac}
        return str(client.post(url, json=user).json()["access_token"])


def federate(database: Path) -> None:
    """As Synapse itself notes whom it has sent to; one of them has failed since 1970."""
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.executemany("INSERT INTO destinations (destination) VALUES (?)", [(name,) for name in PEERS])
        connection.execute("UPDATE destinations SET failure_ts = 1 WHERE destination = 'c.example'")


async def test_peers_of_a_real_synapse_are_a_list(
    homeserver: Synapse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several pages, by http and by https; only with the token of an administrator."""
    monkeypatch.setattr(admin_api, "PAGE_SIZE", 2)
    federate(tmp_path / "synapse.db")
    token = tmp_path / "token"
    plain = SynapseDestinations(f"http://{homeserver.http_address}", token)
    secured = SynapseDestinations(
        f"https://{homeserver.https_address}", token, failing_at_most=3600.0, ca_file=tmp_path / "ca.pem"
    )
    token.write_text(token_of(homeserver, "admin", admin=True))
    everything, alive = await PeersOfSynapse(plain).fetch(), await PeersOfSynapse(secured).fetch()
    assert list(map(str, everything.servers)) == PEERS
    assert list(map(str, alive.servers)) == [name for name in PEERS if name != "c.example"]
    for wrong, complaint in ((token_of(homeserver, "user", admin=False), "403"), ("syt_nonsense", "401")):
        token.write_text(wrong)
        with pytest.raises(ListError, match=f"expected status 200, found {complaint}: check"):
            await PeersOfSynapse(plain).fetch()
