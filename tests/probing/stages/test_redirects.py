"""Redirects of the well-known."""

import pytest
from structlog.testing import capture_logs

from exporter.model import names
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.probing.evidence import HttpResponse
from exporter.probing.stages.well_known import MAX_REDIRECTS, PATH, HttpsUrl, redirect_target
from tests.certificates import handshake
from tests.fake_world import (
    Server,
)
from tests.probing.stages.websites import DELEGATION, ELSEWHERE, HS, absence, probe, reason, requests, serving, to


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_follows_redirects(status: int) -> None:
    network = serving(well_known=to("https://www.example.test/wk?a=b#part", status), **{"wk?a=b": DELEGATION})
    stage = await probe(network)
    assert isinstance(stage, Passed)
    assert stage.found.server == HS
    assert requests(network) == [f"example.test{PATH}", "www.example.test/wk?a=b"]


@pytest.mark.parametrize(
    ("location", "asked"),
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
async def test_reads_locations_as_urls_are_read(location: str, asked: str) -> None:
    """Relative ones too; what a request line cannot hold is escaped."""
    network = serving(well_known=to(location))
    await probe(network)
    assert requests(network) == [f"example.test{PATH}", asked]


async def test_the_port_of_a_redirect_stands_in_host() -> None:
    network = serving(well_known=to("https://www.example.test:8443/wk"))
    network.servers["192.0.2.2:8443"] = Server(handshake("www.example.test"), {"/wk": DELEGATION})
    assert reason(await probe(network)) is None
    assert requests(network)[1] == "www.example.test:8443/wk"


async def test_every_hop_is_verified_and_only_the_first_certificate_is_kept() -> None:
    """Later hops are somebody else's."""
    network = serving(well_known=to("https://www.example.test/wk"))
    network.servers[ELSEWHERE] = Server(handshake("elsewhere.test"), {"/wk": DELEGATION})
    stage = await probe(network)
    assert reason(stage) is Reason.CERTIFICATE_NAME_MISMATCH
    assert stage.found is not None
    assert stage.found.secured is not None
    assert (stage.found.secured.certificate.names, stage.found.secured.certificate.valid) == (("example.test",), True)


@pytest.mark.parametrize(
    "location", ["https://missing.test/wk", "https://www.example.test:1/wk", "https://xn--mnchen--1/"]
)
async def test_a_redirect_to_nobody_is_a_failure(location: str) -> None:
    """There is a delegation, but nobody can read it: that is not the same as having none."""
    assert reason(await probe(serving(well_known=to(location)))) in (Reason.NXDOMAIN, Reason.CONNECT_REFUSED)


async def test_a_redirect_to_a_missing_page_is_an_absence() -> None:
    assert absence(await probe(serving(well_known=to("/elsewhere")))) is Reason.HTTP_STATUS


@pytest.mark.parametrize(
    ("location", "detail"),
    [
        ("", "status 302 without a Location"),
        ("http://example.test/wk", "to http://example.test/wk, which is no plain https URL"),
        ("https://me:secret@example.test/", "to https://me:secret@example.test/, which is no plain https URL"),
        ("https:///wk", "to https:///wk, which is no plain https URL"),
        ("https:wk", "to https:wk, which is no plain https URL"),
        (PATH, f"in a loop: to {PATH} again"),
        ("mailto:me@example.test", "to mailto:me@example.test, which leads nowhere: the host is empty"),
        ("https://256.1.1.1/", "to https://256.1.1.1/, which leads nowhere: Invalid IPv4 address: '256.1.1.1'"),
        (
            "https://[fe80::1%25eth0]/",
            "to https://[fe80::1%25eth0]/, which leads nowhere: an IPv6 address in a server name bears no zone",
        ),
        (
            "https://www.example.test:99999/",
            "to https://www.example.test:99999/, which leads nowhere: port 99999 is above 65535",
        ),
    ],
)
async def test_does_not_follow_a_redirect_that_peers_would_not(location: str, detail: str) -> None:
    """Whatever a server sends as Location, it is the server's fault and not ours."""
    with capture_logs() as logs:
        stage = await probe(serving(well_known=to(location)))
    assert isinstance(stage, Failed)
    assert stage.problems == (Problem(Reason.REDIRECT, detail),)
    assert logs == []


@pytest.mark.parametrize(
    "location",
    ["https://[::1/", "https://xn--a.test\x00/", "//\\", "https://exa mple/", "https://\N{ZERO WIDTH JOINER}/"],
)
async def test_survives_any_location(location: str) -> None:
    with capture_logs() as logs:
        assert reason(await probe(serving(well_known=to(location)))) is Reason.REDIRECT
    assert logs == []


async def test_a_location_that_is_missing() -> None:
    page = HttpResponse(301, (), b"")
    assert redirect_target(HttpsUrl(names.parse("example.test"), PATH), page, set()) == Problem(
        Reason.REDIRECT, "status 301 without a Location"
    )


@pytest.mark.parametrize(("hops", "expected"), [(MAX_REDIRECTS, None), (MAX_REDIRECTS + 1, Reason.REDIRECT)])
async def test_follows_so_many_redirects_and_no_more(hops: int, expected: Reason | None) -> None:
    pages = {f"r{number}": to(f"/r{number + 1}") for number in range(1, hops)}
    network = serving(well_known=to("/r1"), **pages, **{f"r{hops}": DELEGATION})
    assert reason(await probe(network)) is expected
    assert len(requests(network)) == MAX_REDIRECTS + 1
