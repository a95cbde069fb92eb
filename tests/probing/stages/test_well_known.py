"""The well-known: what its response means, and which address it is requested from."""

import asyncio
import errno
from dataclasses import replace

import pytest

from exporter.demo.https_server import Response
from exporter.model import names
from exporter.model.findings import Delegation, TlsSession, WellKnownResponse
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import Addresses, VerifyError
from exporter.probing.network import DnsTimeoutError
from exporter.probing.parsing.freshness import DEFAULT_SECONDS, FAILURE_SECONDS
from exporter.probing.stages import well_known
from exporter.probing.stages.well_known import MAX_BYTES, PATH
from tests.certificates import handshake
from tests.fake_world import GET_SECONDS, SILENCE, TLS_SECONDS, FakeNetwork, Reaction, Server, http_response, website
from tests.probing.stages.websites import DELEGATION, EXAMPLE, HS, absence, reason, requests, run, websites


async def test_a_delegation() -> None:
    """The stage is timed from the lookup of the host to the last byte, and the certificate is kept."""
    outcome = await run(websites(well_known=DELEGATION))
    assert isinstance(outcome, Passed)
    assert isinstance(outcome.found.tls_session, TlsSession)
    response = WellKnownResponse(
        200,
        len(DELEGATION.body),
        announced_seconds=None,
        shape=DELEGATION.shape,
        is_object=True,
        m_server=HS.text,
        m_server_in_any_case=HS.text,
    )
    session = outcome.found.tls_session
    assert outcome.found == Delegation(DEFAULT_SECONDS, server=HS, tls_session=session, response=response)
    assert outcome.seconds == pytest.approx(TLS_SECONDS + GET_SECONDS, abs=0.05)


async def test_the_content_type_does_not_matter() -> None:
    """Peers ignore it too."""
    page = http_response(Response(200, (("Content-Type", "text/html"),), b'{"m.server": "hs.example.test:443"}'))
    outcome = await run(websites(well_known=page))
    assert isinstance(outcome, Passed)
    assert outcome.found.server == HS


@pytest.mark.parametrize("status", [404, 410])
async def test_a_missing_well_known_is_not_a_failure(status: int) -> None:
    """Peers may cache its absence for an hour."""
    outcome = await run(websites(well_known=http_response(Response(status))))
    assert absence(outcome) is Reason.HTTP_STATUS
    assert outcome.found is not None
    assert outcome.found.cache_seconds == FAILURE_SECONDS


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(Addresses("example.test", (), exists=False), Reason.NXDOMAIN), ((), Reason.NO_ADDRESSES)],
)
async def test_a_host_without_addresses_is_not_a_failure(
    addresses: tuple[str, ...] | Addresses, expected: Reason
) -> None:
    """There is no web server, so there is no well-known."""
    assert absence(await run(FakeNetwork(hosts={"example.test": addresses}))) is expected


async def test_a_host_that_refuses_connections_is_not_a_failure() -> None:
    """There is no web server, so there is no well-known."""
    assert absence(await run(FakeNetwork(hosts={"example.test": ("192.0.2.1",)}))) is Reason.CONNECT_REFUSED


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 403, 429, 500, 503])
async def test_any_other_status_is_a_failure(status: int) -> None:
    """It is one even with a valid body, because peers treat it differently."""
    outcome = await run(websites(well_known=replace(DELEGATION, status=status)))
    assert reason(outcome) is Reason.HTTP_STATUS
    assert outcome.found is not None
    assert (outcome.found.server, outcome.found.cache_seconds) == (None, FAILURE_SECONDS)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{}", Problem(Reason.INVALID_DELEGATION, "m.server is missing")),
        (b"[]", Problem(Reason.INVALID_DELEGATION, "expected a JSON object, found an array; body: []")),
        (b'"hs.test"', Problem(Reason.INVALID_DELEGATION, 'expected a JSON object, found a string; body: "hs.test"')),
        (b'{"m.server": 1}', Problem(Reason.INVALID_DELEGATION, "m.server should be a string, found a number")),
        (b'{"m.server": ""}', Problem(Reason.INVALID_DELEGATION, "m.server is '': the host is empty")),
        (
            b'{"m.server": "https://hs.test"}',
            Problem(
                Reason.INVALID_DELEGATION,
                "m.server is 'https://hs.test': this is a URL: drop the scheme and the path",
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
            Problem(Reason.INVALID_DELEGATION, "m.server is '[\ufffd]': [\ufffd] is not an IPv6 address"),
        ),
        (
            b'{"m.server": "[' + b"x" * 1000 + b']"}',
            Problem(Reason.INVALID_DELEGATION, f"m.server is '[{'x' * 98}…': [{'x' * 49}…] is not an IPv6 address"),
        ),
    ],
)
async def test_an_invalid_delegation(body: bytes, problem: Problem) -> None:
    """The detail says what is wrong with it, in printable characters."""
    outcome = await run(websites(well_known=http_response(Response(200, (), body))))
    assert isinstance(outcome, Failed)
    assert [(each.reason, each.detail) for each in outcome.problems] == [(problem.reason, problem.detail)]


async def test_an_html_page_is_not_json() -> None:
    """Some web servers return one for every path."""
    page = http_response(Response(200, (("Content-Type", "text/html"),), b"<!doctype html>"))
    assert reason(await run(websites(well_known=page))) is Reason.NOT_JSON


async def test_the_size_of_the_body_is_bounded() -> None:
    """The bound is the one of Synapse and Dendrite."""
    padding = MAX_BYTES - len(DELEGATION.body)
    full = replace(DELEGATION, body=DELEGATION.body + b" " * padding)
    assert reason(await run(websites(well_known=full))) is None
    assert reason(await run(websites(well_known=replace(full, body=full.body + b" ")))) is Reason.TOO_LARGE


async def test_nothing_is_requested_over_a_bad_certificate() -> None:
    """The certificate itself is kept."""
    network = websites(well_known=DELEGATION)
    network.servers[EXAMPLE] = Server(handshake("example.test", errors=[VerifyError(10, 0)]), {PATH: DELEGATION})
    outcome = await run(network)
    assert reason(outcome) is Reason.CERTIFICATE_EXPIRED
    assert outcome.found is not None
    assert outcome.found.tls_session is not None
    assert not outcome.found.tls_session.certificate.valid
    assert requests(network) == []


@pytest.mark.parametrize("finite_field", [True, False])
async def test_a_refused_handshake_is_tried_with_finite_fields(*, finite_field: bool) -> None:
    """Some homeservers still offer them, and reach old servers that offer nothing else."""
    network = websites(well_known=DELEGATION)
    old = Server(ConnectionResetError(104, "reset"), {PATH: DELEGATION})
    network.servers[EXAMPLE] = replace(old, finite_field_handshake=handshake("example.test")) if finite_field else old
    outcome = await run(network)
    assert reason(outcome) is (None if finite_field else Reason.TLS_HANDSHAKE)
    assert [line for line in network.calls if line.startswith("TLS")] == [
        f"TLS {EXAMPLE} example.test",
        f"TLS {EXAMPLE} example.test finite-field",
    ]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), Reason.UNREACHABLE),
        (Server(ConnectionResetError()), Reason.TLS_HANDSHAKE),
        (website("example.test", ConnectionResetError()), Reason.HTTP_PROTOCOL),
    ],
)
async def test_any_other_error_is_a_failure(server: Reaction[Server], expected: Reason) -> None:
    """Only a refused connection proves that there is no web server."""
    network = websites()
    network.servers[EXAMPLE] = server
    assert reason(await run(network)) is expected


async def test_a_failed_lookup_is_a_failure() -> None:
    """It does not prove that the host has no address."""
    failing = Addresses("example.test", (), failures=(DnsTimeoutError("no resolver answers"),))
    assert reason(await run(FakeNetwork(hosts={"example.test": failing}))) is Reason.DNS_TIMEOUT


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (SILENCE, Reason.CONNECT_TIMEOUT),
        (Server(SILENCE), Reason.TLS_TIMEOUT),
        (website("example.test", SILENCE), Reason.HTTP_TIMEOUT),
    ],
)
async def test_silence_ends_at_the_deadline_of_the_stage(server: Reaction[Server], expected: Reason) -> None:
    """The connection is closed then."""
    network = websites()
    network.servers[EXAMPLE] = server
    outcome = await well_known.run(network, names.parse("example.test"), Deadline.for_probe(0.3).for_stage())
    assert reason(outcome) is expected
    await asyncio.sleep(0)  # a connection that was still being opened is closed in the next iteration of the loop
    assert network.calls[-1] == f"close {EXAMPLE}"


async def test_uses_the_first_address_that_accepts() -> None:
    """The connection to the other address is closed."""
    network = websites(well_known=DELEGATION)
    network.hosts["example.test"] = ("192.0.2.9", "192.0.2.1")
    assert reason(await run(network)) is None
    assert "close 192.0.2.9:443" in network.calls
