import asyncio
import errno
from dataclasses import replace
from ipaddress import ip_address
from typing import cast

import pytest

from exporter.demo.https_server import Response
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import Delegation, TlsSession, WellKnownResponse
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing import dialling
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import Addresses, VerifyError
from exporter.probing.network import DnsTimeoutError, Network
from exporter.probing.parsing.freshness import DEFAULT_SECONDS, FAILURE_SECONDS
from exporter.probing.stages import well_known
from exporter.probing.stages.well_known import MAX_BYTES, PATH
from tests.certificates import handshake
from tests.fake_world import (
    GET_SECONDS,
    SILENCE,
    TLS_SECONDS,
    FakeNetwork,
    Reaction,
    Server,
    received,
    website,
)
from tests.probing.stages.websites import DELEGATION, HERE, HS, absence, probe, reason, requests, serving


async def test_a_delegation() -> None:
    """Timed from the lookup of the host to the last byte; the certificate is kept."""
    stage = await probe(serving(well_known=DELEGATION))
    assert isinstance(stage, Passed)
    assert isinstance(stage.found.secured, TlsSession)
    answered = WellKnownResponse(200, len(DELEGATION.body), announced_seconds=None)
    assert stage.found == Delegation(DEFAULT_SECONDS, server=HS, secured=stage.found.secured, answered=answered)
    assert stage.seconds == pytest.approx(TLS_SECONDS + GET_SECONDS, abs=0.05)


async def test_the_type_of_the_content_does_not_matter() -> None:
    page = received(Response(200, (("Content-Type", "text/html"),), b'{"m.server": "hs.example.test:443"}'))
    stage = await probe(serving(well_known=page))
    assert isinstance(stage, Passed)
    assert stage.found.server == HS


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_no_failure(status: int) -> None:
    stage = await probe(serving(well_known=received(Response(status))))
    assert absence(stage) is Reason.HTTP_STATUS
    assert stage.found is not None
    assert stage.found.cache_seconds == FAILURE_SECONDS


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(Addresses("example.test", (), exists=False), Reason.NXDOMAIN), ((), Reason.NO_ADDRESSES)],
)
async def test_a_host_that_is_not_there_is_no_failure(addresses: tuple[str, ...] | Addresses, expected: Reason) -> None:
    assert absence(await probe(FakeNetwork(hosts={"example.test": addresses}))) is expected


async def test_a_host_where_nobody_listens_is_no_failure() -> None:
    assert absence(await probe(FakeNetwork(hosts={"example.test": ("192.0.2.1",)}))) is Reason.CONNECT_REFUSED


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 403, 429, 500, 503])
async def test_any_other_status_is_a_failure(status: int) -> None:
    """Even with a good body: peers differ in what they make of it."""
    stage = await probe(serving(well_known=replace(DELEGATION, status=status)))
    assert reason(stage) is Reason.HTTP_STATUS
    assert stage.found is not None
    assert (stage.found.server, stage.found.cache_seconds) == (None, FAILURE_SECONDS)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{}", Problem(Reason.INVALID_DELEGATION, "m.server is missing")),
        (b"[]", Problem(Reason.INVALID_DELEGATION, "a JSON object was expected, found an array")),
        (b'{"m.server": 1}', Problem(Reason.INVALID_DELEGATION, "m.server should be a string, found a number")),
        (b'{"m.server": ""}', Problem(Reason.INVALID_DELEGATION, "m.server is '': the host is empty")),
        (
            b'{"m.server": "https://hs.test"}',
            Problem(
                Reason.INVALID_DELEGATION,
                "m.server is 'https://hs.test': a server name is no URL: leave the scheme and the path away",
            ),
        ),
        (
            rb'{"m.server": "\ud800\n"}',
            Problem(
                Reason.INVALID_DELEGATION,
                "m.server is '\ufffd\ufffd': only ASCII is allowed: write an internationalised name in its xn-- form",
            ),
        ),
        (
            b'{"m.server": "[\\r]"}',
            Problem(Reason.INVALID_DELEGATION, "m.server is '[\ufffd]': [\ufffd] is no IPv6 address"),
        ),
        (
            b'{"m.server": "[' + b"x" * 1000 + b']"}',
            Problem(Reason.INVALID_DELEGATION, f"m.server is '[{'x' * 98}…': [{'x' * 49}…] is no IPv6 address"),
        ),
    ],
)
async def test_a_delegation_to_nothing(body: bytes, problem: Problem) -> None:
    stage = await probe(serving(well_known=received(Response(200, (), body))))
    assert isinstance(stage, Failed)
    assert stage.problems == (problem,)


async def test_a_page_for_every_path_is_no_json() -> None:
    page = received(Response(200, (("Content-Type", "text/html"),), b"<!doctype html>"))
    assert reason(await probe(serving(well_known=page))) is Reason.NOT_JSON


async def test_reads_as_much_as_peers_do() -> None:
    padding = MAX_BYTES - len(DELEGATION.body)
    full = replace(DELEGATION, body=DELEGATION.body + b" " * padding)
    assert reason(await probe(serving(well_known=full))) is None
    assert reason(await probe(serving(well_known=replace(full, body=full.body + b" ")))) is Reason.TOO_LARGE


async def test_nothing_is_believed_over_a_bad_certificate() -> None:
    """It is described, though."""
    network = serving(well_known=DELEGATION)
    network.servers[HERE] = Server(handshake("example.test", errors=[VerifyError(10, 0)]), {PATH: DELEGATION})
    stage = await probe(network)
    assert reason(stage) is Reason.CERTIFICATE_EXPIRED
    assert stage.found is not None
    assert stage.found.secured is not None
    assert not stage.found.secured.certificate.valid
    assert requests(network) == []


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), Reason.UNREACHABLE),
        (Server(ConnectionResetError()), Reason.TLS_HANDSHAKE),
        (website("example.test", ConnectionResetError()), Reason.HTTP_PROTOCOL),
    ],
)
async def test_trouble_on_the_way_is_a_failure(server: Reaction[Server], expected: Reason) -> None:
    """Only a refusal says that nobody is there."""
    network = serving()
    network.servers[HERE] = server
    assert reason(await probe(network)) is expected


async def test_dns_trouble_is_a_failure() -> None:
    failing = Addresses("example.test", (), failures=(DnsTimeoutError("no resolver answers"),))
    assert reason(await probe(FakeNetwork(hosts={"example.test": failing}))) is Reason.DNS_TIMEOUT


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (SILENCE, Reason.CONNECT_TIMEOUT),
        (Server(SILENCE), Reason.TLS_TIMEOUT),
        (website("example.test", SILENCE), Reason.HTTP_TIMEOUT),
    ],
)
async def test_silence_ends_at_the_deadline_of_the_stage(server: Reaction[Server], expected: Reason) -> None:
    network = serving()
    network.servers[HERE] = server
    stage = await well_known.run(network, names.parse("example.test"), Deadline.for_probe(0.3).for_stage())
    assert reason(stage) is expected
    await asyncio.sleep(0)  # what was given up while connecting is closed in the next turn of the loop
    assert network.asked[-1] == f"close {HERE}"


# ---------------------------------------------------------------- addresses


async def test_takes_the_first_address_that_accepts() -> None:
    """As peers do; the others are given up."""
    network = serving(well_known=DELEGATION)
    network.hosts["example.test"] = ("192.0.2.9", "192.0.2.1")
    assert reason(await probe(network)) is None
    assert "close 192.0.2.9:443" in network.asked


async def test_does_not_wait_long_for_an_address_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "NEXT_ADDRESS_SECONDS", 0.01)
    network = serving(well_known=DELEGATION)
    network.hosts["example.test"] = ("2001:db8::9", "192.0.2.1")
    network.servers["[2001:db8::9]:443"] = SILENCE
    assert reason(await probe(network)) is None
    assert "close [2001:db8::9]:443" in network.asked


class Meeting:
    """A connection that is made when `made` is set; all that a network has to offer here."""

    def __init__(self) -> None:
        self.asked, self.made = asyncio.Event(), asyncio.Event()
        self.closed = False

    def connection(self, _endpoint: object) -> "Meeting":
        return self

    async def open(self) -> None:
        self.asked.set()
        await self.made.wait()

    def close(self) -> None:
        self.closed = True


async def test_a_connection_made_at_the_moment_of_giving_up_is_closed() -> None:
    """Nobody else knows of it."""
    meeting = Meeting()
    endpoint = Endpoint(Target("example.test", 443), ip_address("192.0.2.1"))
    waiting = asyncio.create_task(dialling.connect_any(cast("Network", meeting), [endpoint]))
    await meeting.asked.wait()
    meeting.made.set()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (waiting.cancelled(), meeting.closed) == (True, True)
