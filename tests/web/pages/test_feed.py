"""The Atom feeds: RFC 4287."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urljoin
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import httpx
import pytest

from exporter.history.changes import Change, Subject
from exporter.history.incidents import Incident, Phase, PhaseProblem
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.web.pages.views.feed import Entry, entries
from exporter.web.settings.location import Location
from tests.sample_reports import ENDED_AT, delegated_by_well_known, expired_certificate, watched_server
from tests.scrapes import board_of
from tests.web.serving import client_of, served

ATOM = "{http://www.w3.org/2005/Atom}"
NAME, OTHER = "example.org", "[2001:db8::1]:8448"
MINUTE = timedelta(minutes=1)


def report(server_name: str, minutes: float, *, version: str | None = "1.0") -> Report:
    """Return the report of some minutes later; a failure if the version is None."""
    whole = expired_certificate() if version is None else delegated_by_well_known()
    at = whole.ended_at + minutes * MINUTE
    software = Passed(0.03, Software("Synapse", version))
    endpoints = tuple(replace(each, version=software) if version else each for each in whole.endpoints)
    return replace(whole, server_name=names.parse(server_name), ended_at=at, endpoints=endpoints)


HAPPENED = (
    report(NAME, 0),
    report(NAME, 1, version=None),
    report(NAME, 29),
    report(NAME, 30, version="2.0"),
    report(OTHER, 31, version=None),
)
BOARD = board_of(map(watched_server, (NAME, OTHER, "quiet.test")), *HAPPENED)


async def get(path: str, reports: Sequence[Report] = HAPPENED) -> httpx.Response:
    async with served(BOARD, reports=reports) as address, client_of(address) as client:
        return await client.get(path)


async def feed(path: str, reports: Sequence[Report] = HAPPENED) -> Element:
    response = await get(path, reports)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/atom+xml")
    return checked(ET.fromstring(response.text))


def checked(root: Element) -> Element:
    """Return a feed that follows RFC 4287: what must be there once, is, and every ID is a URI of its own."""
    assert root.tag == f"{ATOM}feed"
    parts = [root, *root.iter(f"{ATOM}entry")]
    for part in parts:
        for name in ("id", "title", "updated"):
            assert len(part.findall(f"{ATOM}{name}")) == 1
        assert datetime.fromisoformat(part.findtext(f"{ATOM}updated", "")).tzinfo is not None
        assert [link.get("rel") for link in part.findall(f"{ATOM}link")].count("alternate") == 1
    assert root.findtext(f"{ATOM}author/{ATOM}name")
    ids = [part.findtext(f"{ATOM}id", "") for part in parts]
    assert all(each.startswith("urn:uuid:") for each in ids)
    assert len(set(ids)) == len(ids)
    assert root.findtext(f"{ATOM}updated") == max(
        (part.findtext(f"{ATOM}updated", "") for part in parts[1:]), default="1970-01-01T00:00:00+00:00"
    )
    return root


def texts(root: Element, name: str) -> list[str]:
    return [entry.findtext(f"{ATOM}{name}", "") for entry in root.iter(f"{ATOM}entry")]


async def test_the_feed_has_incidents_and_changes() -> None:
    """The latest update is the first."""
    assert texts(await feed("/feed.atom"), "title") == [
        f"{OTHER} does not federate: tls certificate_expired",
        f"{NAME} changed: software",
        f"{NAME} federates again, after 28 minutes",
    ]


async def test_an_entry_says_how_it_went() -> None:
    _, change, incident = texts(await feed("/feed.atom"), "content")
    assert change == "before: Synapse 1.0\nafter: Synapse 2.0\n"
    assert incident == (
        "2026-11-22 18:01 UTC: does not federate: tls certificate_expired\n2026-11-22 18:29 UTC: federates again\n"
    )


async def test_a_server_has_a_feed_of_its_own() -> None:
    """Also if its name is an address."""
    assert texts(await feed(f"/servers/{NAME}/feed.atom"), "title")[1] == f"{NAME} federates again, after 28 minutes"
    other = await feed("/servers/%5B2001%3Adb8%3A%3A1%5D%3A8448/feed.atom")
    assert texts(other, "title") == [f"{OTHER} does not federate: tls certificate_expired"]
    assert other.findtext(f"{ATOM}title") == f"Matrix federation: {OTHER}"


async def test_links_are_absolute_where_the_external_url_is_known() -> None:
    """A reader that has the feed from somewhere else finds the pages."""
    location = Location("https://example.org/matrix/", "/matrix")
    path = f"/servers/{NAME}/feed.atom"
    async with (
        served(BOARD, reports=HAPPENED, location=location) as address,
        client_of(address) as client,
    ):
        root = ET.fromstring((await client.get(f"/matrix{path}")).text)
    links = [link.get("href", "") for link in root.iter(f"{ATOM}link")]
    assert links[0] == f"https://example.org/matrix{path}"
    assert all(link.startswith(f"https://example.org/matrix/servers/{NAME}") for link in links)


async def test_a_feed_without_entries_is_valid() -> None:
    assert texts(await feed("/servers/quiet.test/feed.atom"), "title") == []


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/servers/unknown.test/feed.atom", 404, "unknown.test is not watched.\n"),
        ("/servers/a..b/feed.atom", 400, "'a..b' is not a server name: "),
    ],
)
async def test_only_watched_servers_have_a_feed(path: str, status: int, sentence: str) -> None:
    response = await get(path)
    assert (response.status_code, response.text[: len(sentence)]) == (status, sentence)


async def test_an_incident_keeps_its_id() -> None:
    """When it ends, its entry is updated: a reader shows it again, and not twice."""
    lasting = await feed(f"/servers/{NAME}/feed.atom", HAPPENED[:2])
    ended = await feed(f"/servers/{NAME}/feed.atom", HAPPENED[:3])
    assert texts(lasting, "id") == texts(ended, "id")
    assert texts(lasting, "updated") < texts(ended, "updated")
    assert texts(lasting, "published") == texts(ended, "published")


@pytest.mark.parametrize("path", ["/feed.atom", f"/servers/{NAME}/feed.atom"])
async def test_every_link_works_below_any_path(path: str) -> None:
    """All links are relative to the feed."""
    links = [link.get("href", "") for link in (await feed(path)).iter(f"{ATOM}link")]
    assert len(links) > 3
    assert not [link for link in links if link.startswith("/") or "://" in link]
    async with served(BOARD, reports=HAPPENED) as address, client_of(address) as client:
        statuses = {link: (await client.get(urljoin(path, link))).status_code for link in links}
    assert {link: status for link, status in statuses.items() if status != 200} == {}


async def test_pages_lead_to_the_feeds() -> None:
    """Browsers and feed readers find them by themselves."""
    for path, link in (("/", "./feed.atom"), (f"/servers/{NAME}", f"../servers/{NAME}/feed.atom")):
        assert f'type="application/atom+xml" title="Incidents and changes" href="{link}"' in (await get(path)).text


# ---------------------------------------------------------------- entries


def incident(*phases: Phase, ended: datetime | None = None) -> Incident:
    return Incident(names.parse(NAME), ENDED_AT, ended, phases)


def phase(minutes: float, federation: Federation, *problems: PhaseProblem) -> Phase:
    return Phase(ENDED_AT + minutes * MINUTE, federation, problems)


EXPIRED = PhaseProblem(Stage.TLS, Reason.CERTIFICATE_EXPIRED, 2, 3)
NXDOMAIN = PhaseProblem(Stage.DNS, Reason.NXDOMAIN, 0, 0)


def only(found: Sequence[Entry]) -> Entry:
    (entry,) = found
    return entry


def test_the_title_of_an_incident_is_what_fails_now() -> None:
    """Its update is when that began."""
    entry = only(
        entries([incident(phase(0, Federation.NONE, NXDOMAIN), phase(5, Federation.PARTIAL, EXPIRED, NXDOMAIN))], [])
    )
    assert entry.title == f"{NAME} federates only in part: tls certificate_expired at 2 of 3 endpoints, dns nxdomain"
    assert entry.updated == ENDED_AT + 5 * MINUTE
    assert len(entry.lines) == 2


def test_a_failure_without_a_known_cause_is_an_entry_too() -> None:
    assert only(entries([incident(phase(0, Federation.NONE))], [])).title == f"{NAME} does not federate"


def test_entries_of_the_same_time_have_different_ids() -> None:
    """Several subjects may change at once."""
    changes = [Change(names.parse(NAME), ENDED_AT, subject, "a", "b") for subject in Subject]
    found = entries([], changes)
    assert len({entry.id for entry in found}) == len(Subject)
    assert found == entries([], changes[::-1])
