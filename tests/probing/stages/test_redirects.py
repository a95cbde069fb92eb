"""Redirects of the well-known."""

from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from exporter.model import names
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.evidence import Addresses, HttpResponse
from exporter.probing.network import DnsTimeoutError
from exporter.probing.stages.well_known import FOLLOWED_REDIRECTS, MAX_REDIRECTS, PATH, Url, redirect_target
from tests.certificates import handshake
from tests.fake_world import Server
from tests.probing.stages.websites import DELEGATION, HS, WWW, absence, reason, redirect_to, requests, run, websites


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_follows_redirects(status: int) -> None:
    """The query is kept and the fragment is dropped."""
    network = websites(well_known=redirect_to("https://www.example.test/wk?a=b#part", status), **{"wk?a=b": DELEGATION})
    outcome = await run(network)
    assert isinstance(outcome, Passed)
    assert outcome.found.server == HS
    assert requests(network) == [f"example.test{PATH}", "www.example.test/wk?a=b"]


@pytest.mark.parametrize(
    ("location", "requested"),
    [
        ("/wk", "example.test/wk"),
        ("wk", "example.test/.well-known/matrix/wk"),
        ("?x", f"example.test{PATH}?x"),
        ("//www.example.test/wk", "www.example.test/wk"),
        ("HTTPS://WWW.example.test:443/wk", "www.example.test/wk"),
        ("https://www.example.test", "www.example.test/"),
        ("/ü ", "example.test/%C3%BC%20"),
    ],
)
async def test_resolves_locations_like_any_url(location: str, requested: str) -> None:
    """A Location may be relative. Characters that a request line cannot contain are escaped."""
    network = websites(well_known=redirect_to(location))
    await run(network)
    assert requests(network) == [f"example.test{PATH}", requested]


async def test_host_contains_the_port_of_a_redirect() -> None:
    """The default port of https is left out."""
    network = websites(well_known=redirect_to("https://www.example.test:8443/wk"))
    network.servers["192.0.2.2:8443"] = Server(handshake("www.example.test"), {"/wk": DELEGATION})
    assert reason(await run(network)) is None
    assert requests(network)[1] == "www.example.test:8443/wk"


async def test_every_hop_is_verified_and_only_the_first_certificate_is_kept() -> None:
    """Later hops belong to other servers."""
    network = websites(well_known=redirect_to("https://www.example.test/wk"))
    network.servers[WWW] = Server(handshake("elsewhere.test"), {"/wk": DELEGATION})
    outcome = await run(network)
    assert reason(outcome) is Reason.CERTIFICATE_NAME_MISMATCH
    assert outcome.found is not None
    assert outcome.found.tls_session is not None
    certificate = outcome.found.tls_session.certificate
    assert (certificate.names, certificate.valid) == (("example.test",), True)


@pytest.mark.parametrize(
    "location", ["https://missing.test/wk", "https://www.example.test:1/wk", "https://xn--mnchen--1/"]
)
async def test_a_redirect_to_a_missing_host_is_a_failure(location: str) -> None:
    """There is a delegation that nobody can read, which is different from having none."""
    assert reason(await run(websites(well_known=redirect_to(location)))) in (Reason.NXDOMAIN, Reason.CONNECT_REFUSED)


async def test_a_redirect_to_a_missing_page_means_that_there_is_no_well_known() -> None:
    """Status 404 says so at any hop."""
    assert absence(await run(websites(well_known=redirect_to("/elsewhere")))) is Reason.HTTP_STATUS


@pytest.mark.parametrize(
    ("location", "detail"),
    [
        ("", "status 302 without a Location"),
        (
            "https://me:secret@example.test/",
            "redirects to https://me:secret@example.test/, which is not a plain https URL",
        ),
        ("https:///wk", "redirects to https:///wk, which is not a plain https URL"),
        ("https:wk", "redirects to https:wk, which is not a plain https URL"),
        (PATH, f"redirects in a loop: to {PATH} again"),
        ("mailto:me@example.test", "redirects to mailto:me@example.test, which leads nowhere: the host is empty"),
        (
            "https://256.1.1.1/",
            "redirects to https://256.1.1.1/, which leads nowhere: Invalid IPv4 address: '256.1.1.1'",
        ),
        (
            "https://[fe80::1%25eth0]/",
            (
                "redirects to https://[fe80::1%25eth0]/, which leads nowhere: an IPv6 address in a server name must "
                "not have a zone"
            ),
        ),
        (
            "https://www.example.test:99999/",
            "redirects to https://www.example.test:99999/, which leads nowhere: port 99999 is above 65535",
        ),
    ],
)
async def test_does_not_follow_a_redirect_that_peers_would_not(location: str, detail: str) -> None:
    """A bad Location is the server's fault, so nothing is logged as an internal error."""
    with capture_logs() as logs:
        outcome = await run(websites(well_known=redirect_to(location)))
    assert isinstance(outcome, Failed)
    assert outcome.problems == (Problem(Reason.REDIRECT, detail),)
    assert logs == []


@pytest.mark.parametrize(
    "location",
    ["https://[::1/", "https://xn--a.test\x00/", "//\\", "https://exa mple/", "https://\N{ZERO WIDTH JOINER}/"],
)
async def test_survives_any_location(location: str) -> None:
    """No Location causes an internal error."""
    with capture_logs() as logs:
        assert reason(await run(websites(well_known=redirect_to(location)))) is Reason.REDIRECT
    assert logs == []


async def test_a_redirect_needs_a_location() -> None:
    """An absent header is treated like an empty one."""
    page = HttpResponse(301, (), b"")
    assert redirect_target(Url(names.parse("example.test"), PATH), page, set()) == Problem(
        Reason.REDIRECT, "status 301 without a Location"
    )


@pytest.mark.parametrize(
    ("hops", "expected", "followed"),
    [
        (MAX_REDIRECTS, None, MAX_REDIRECTS),
        (MAX_REDIRECTS + 1, f"redirects more than {MAX_REDIRECTS} times", MAX_REDIRECTS + 1),
        (FOLLOWED_REDIRECTS, f"redirects more than {MAX_REDIRECTS} times", FOLLOWED_REDIRECTS),
        (FOLLOWED_REDIRECTS + 1, f"redirects more than {MAX_REDIRECTS} times", FOLLOWED_REDIRECTS),
    ],
)
async def test_the_number_of_redirects_is_bounded(hops: int, expected: str | None, followed: int) -> None:
    """Synapse follows more than the other homeservers, so what it finds is recorded beside the problem."""
    pages = {f"r{number}": redirect_to(f"/r{number + 1}") for number in range(1, hops)}
    network = websites(well_known=redirect_to("/r1"), **pages, **{f"r{hops}": DELEGATION})
    outcome = await run(network)
    assert outcome.found is not None
    assert outcome.found.response is not None
    assert outcome.found.response.m_server == (HS.text if hops == followed else None)
    assert (outcome.problems[0].detail if isinstance(outcome, Failed) else None) == expected
    assert len(requests(network)) == followed + 1


async def test_a_redirect_to_plain_http_is_followed_and_a_problem() -> None:
    """All homeservers follow it, although the specification demands https."""
    network = websites(well_known=redirect_to("http://www.example.test/wk"))
    network.servers["192.0.2.2:80"] = Server(handshake("www.example.test"), {"/wk": DELEGATION})
    outcome = await run(network)
    assert isinstance(outcome, Failed)
    detail = "redirects to http://www.example.test/wk, which is not a plain https URL"
    assert outcome.problems == (Problem(Reason.REDIRECT, detail),)
    assert outcome.found is not None
    assert outcome.found.response is not None
    assert (outcome.found.response.insecure, outcome.found.response.m_server) == (True, HS.text)
    assert [line for line in network.calls if "192.0.2.2:80" in line] == [
        "open 192.0.2.2:80",
        "http 192.0.2.2:80",
        "GET 192.0.2.2:80 www.example.test/wk",
        "close 192.0.2.2:80",
    ]


async def test_every_host_on_the_way_is_looked_up_in_both_families() -> None:
    """A lookup of one family that fails is told, whichever host it was for."""
    network = websites(well_known=redirect_to("https://www.example.test/wk"), wk=DELEGATION)
    silent = DnsTimeoutError("AAAA lookup failed")
    for host, ip in (("example.test", "192.0.2.1"), ("www.example.test", "192.0.2.2")):
        network.hosts[host] = Addresses(host, (ip_address(ip),), failures=(silent,))
    outcome = await run(network)
    assert isinstance(outcome, Passed)
    assert outcome.found.partial_lookups == (
        Problem(Reason.DNS_TIMEOUT, "example.test: AAAA lookup failed"),
        Problem(Reason.DNS_TIMEOUT, "www.example.test: AAAA lookup failed"),
    )
