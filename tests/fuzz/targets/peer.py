"""What other servers send to the exporter as a homeserver: requests that no look has provoked, and their signatures."""

from functools import cache
from urllib.parse import quote

import uvicorn

from exporter.model import names
from exporter.model.signing_keys import SigningSeed
from exporter.outbound.peer import Expectation, Peer, Signature
from exporter.outbound.signing import Credentials, SigningKey, parse_authorization
from exporter.web.peer_listener import build_peer_site
from tests.fuzz.targets.checks import run
from tests.fuzz.targets.site import SITE_ERRORS, STATUS, send_requests, uvicorn_config

THEM = "them.test"
URI, METHOD = "/_matrix/key/v2/server", "GET"
OWN_KEY = SigningKey.from_seed("us.test", SigningSeed("ed25519:a_1", bytes(range(32))))
THEIR_KEY = SigningKey.from_seed(THEM, SigningSeed("ed25519:1", bytes(range(1, 33))))
THEIR_KEYS = {THEIR_KEY.key_id: THEIR_KEY.public}
STATUSES = {200, 400, 401, 404, 405, 408, 411, 413, 414, 417, 431}
MAX_KEPT = 16
ALIAS = b"ALIAS"
"""Stands for the room alias of a look in an input, which nobody can guess."""


def authorization(data: bytes) -> None:
    """What a header claims is contained in it, and survives being written again. Without the key, nobody can sign."""
    header = data.decode("latin-1")
    claimed = parse_authorization(header)
    if claimed is None:
        return
    for value in (claimed.origin, claimed.destination, claimed.key_id, claimed.signature):
        assert value is None or value in header
    if not any(
        "\\" in value for value in (claimed.origin, claimed.destination or "", claimed.key_id, claimed.signature)
    ):
        assert parse_authorization(written(claimed)) == claimed
    assert claimed.complaint(METHOD, URI, OWN_KEY.server_name, {claimed.key_id: THEIR_KEY.public})


def written(claimed: Credentials) -> str:
    parameters = {"origin": claimed.origin, "key": claimed.key_id, "sig": claimed.signature}
    if claimed.destination is not None:
        parameters["destination"] = claimed.destination
    return "X-Matrix " + ",".join(f'{name}="{value}"' for name, value in parameters.items())


@cache
def peer() -> Peer:
    return Peer(names.parse(OWN_KEY.server_name), OWN_KEY, 900.0, lambda: 0.0, lambda: 1_800_000_000.0)


@cache
def config() -> uvicorn.Config:
    return uvicorn_config(build_peer_site([peer()], None))


def strangers(data: bytes) -> None:
    """Any number of requests during a look: they get what everyone may have, and do not pass for who is looked at."""
    SITE_ERRORS.clear()
    with peer().expect(THEM, THEIR_KEYS) as expected:
        sent = data.replace(ALIAS, quote(peer().alias(expected), safe="").encode())
        received = run(send_requests(config(), sent)) if sent else b""
    assert not SITE_ERRORS
    assert STATUSES.issuperset(map(int, STATUS.findall(received))), received[:500]
    assert expected.room.encode() not in received
    check_kept(expected)


def check_kept(expected: Expectation) -> None:
    assert all(arrival.signature is not Signature.GOOD for arrival in expected.arrivals)
    assert max(len(expected.arrivals), len(expected.strangers)) <= MAX_KEPT
