"""The page of one server."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from exporter.model.findings import CameBack, Software
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.model.servers import Expectations, ExpectedSoftware
from tests.sample_reports import (
    CAME_OVER_IPV4,
    CAME_OVER_IPV6,
    DID_NOT_COME,
    ENDED_AT,
    behind_expired_certificate,
    delegated_by_well_known,
    expired_certificate,
    failed_srv_lookup,
    faults_in_deep_look,
    two_families,
    watched_server,
    with_deep_look,
    with_families,
    with_outbound,
)
from tests.scrapes import board_of
from tests.web.pages.parsing import Page
from tests.web.serving import get

NOW = ENDED_AT + timedelta(minutes=2)
CONTACTS = {"mailto:admin%40example.org", "mailto:sec%40a.org", "https://example.org/support"}


async def requested(path: str, *reports: Report, **parts: object) -> httpx.Response:
    """Request a page of a site that has seen these reports, two minutes after they were made."""
    watched = {str(report.server_name): watched_server(str(report.server_name)) for report in reports}
    board = board_of(watched.values(), *reports, at=NOW)
    return await get(path, board=board, reports=reports, **parts)  # type: ignore[arg-type] # as `served` takes them


async def page(*reports: Report) -> Page:
    response = await requested(f"/servers/{reports[-1].server_name}", *reports)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(response.text)


def later(report: Report, minutes: int) -> Report:
    return replace(report, ended_at=report.ended_at + timedelta(minutes=minutes))


async def test_the_group_and_the_labels_lead_to_the_servers_that_share_them() -> None:
    """They are text, whatever a list elsewhere contains. A server of the default group without labels shows neither."""
    hostile = "<script>alert(1)</script>"
    watched = watched_server("example.org", labels=(("team", hostile),), group="ours")
    response = await get("/servers/example.org", board=board_of([watched], delegated_by_well_known(), at=NOW))
    seen = Page(response.text)
    assert f"Group oursLabels team={hostile}" in seen.text  # in elements of their own
    assert "<script" not in response.text
    assert {"../?group=ours", f"../?label={quote(f'team={hostile}', safe='')}"} <= set(seen.links)
    plain = (await page(delegated_by_well_known())).text
    assert "Group" not in plain
    assert "Labels" not in plain


async def test_what_is_expected_is_shown_beside_what_was_found() -> None:
    """Both are text, whatever the server says."""
    hostile = Software("<script>alert(1)</script>", "1")
    report = delegated_by_well_known()
    changed = replace(report, endpoints=(replace(report.endpoints[0], version=Passed(0.03, hostile)),))
    expected = Expectations(software=ExpectedSoftware("Synapse"), issuer="CN=Test Intermediate")
    board = board_of([watched_server("example.org", expected=expected)], changed, at=NOW)
    response = await get("/servers/example.org", board=board)
    assert "software Synapse <script>alert(1)</script> 1" in Page(response.text).text
    assert "issuer CN=Test Intermediate CN=Test Intermediate" in Page(response.text).text
    assert "<script" not in response.text
    assert "expected?" not in (await page(report)).text


# ---------------------------------------------------------------- the verdict, and what to do


async def test_the_verdict_is_the_title_the_heading_and_the_icon() -> None:
    """With since when, and when the server was checked."""
    seen = await page(expired_certificate())
    assert seen.title == "✗ expired.example.org does not federate"
    assert seen.icon.startswith("../static/none.svg?")
    assert "✗ expired.example.org does not federate" in seen.text
    assert "Since 2026-11-22 18:00 UTC, for 2 minutes" in seen.text
    assert "Checked 2 minutes ago, in 250 ms, every 30s until two results agree" in seen.text


async def test_the_page_says_why_a_server_is_probed_more_rarely_or_sooner() -> None:
    """The interval is the one in force."""
    week, failed = 7 * 24 * 60, expired_certificate()
    dormant = await page(*(later(failed, minutes) for minutes in (-week, 0)))
    assert "every 1h because it has failed for 7 days" in dormant.text
    unconfirmed = await page(replace(delegated_by_well_known(), server_name=failed.server_name), failed)
    assert "every 30s until two results agree" in unconfirmed.text


async def test_a_problem_says_what_to_do_and_whom_it_stops() -> None:
    """Each is shown once, with all addresses."""
    text = (await page(expired_certificate())).text
    assert "✗ tls: certificate_expired at 1 of 1 address" in text
    assert "What to do: Renew the certificate, and reload the reverse proxy" in text
    assert "It stops Synapse, Dendrite and the Conduit family." in text
    for name in ("Synapse", "Dendrite", "The Conduit family"):
        assert f"✗ {name} does not get through" in text


async def test_a_problem_that_stops_nobody_is_no_failure() -> None:
    """A stage may fail although peers get through."""
    report = delegated_by_well_known()
    failed: Failed[Software] = Failed(0.03, (Problem(Reason.HTTP_STATUS, "status 404, expected 200"),))
    endpoints = tuple(replace(endpoint, version=failed) for endpoint in report.endpoints)
    seen = await page(replace(report, endpoints=endpoints))
    assert seen.title == "✓ example.org federates"
    assert "! version: http_status at 1 of 1 address 192.0.2.1:443: status 404, expected 200" in seen.text
    assert "It stops no implementation that is known." in seen.text


async def test_warnings_have_remedies() -> None:
    """They work today, but will cause trouble."""
    text = (await page(faults_in_deep_look())).text
    assert "! warning: srv_and_well_known_disagree" in text
    assert "What to do: Peers that cannot read the well-known follow the SRV records" in text


async def test_what_stops_some_implementations_is_shown_once() -> None:
    """Not again as the warning `works_for_some`."""
    seen = await page(failed_srv_lookup())
    assert seen.title == "! dual.example.org federates only in part"
    assert "✗ Synapse does not get through" in seen.text
    assert "✓ Dendrite gets through" in seen.text
    assert "It stops Synapse." in seen.text
    assert "works_for_some" not in seen.text


# ---------------------------------------------------------------- the way, certificates, keys


async def test_the_way_shows_each_step_with_what_it_found_and_for_how_long_peers_may_keep_it() -> None:
    """And how long each step took."""
    text = (await page(delegated_by_well_known())).text
    assert "example.org → well-known → matrix.example.org:443 → 192.0.2.1:443" in text
    assert "Host matrix.example.org:443, certificate for matrix.example.org" in text
    assert "well_known ✓ passed m.server is matrix.example.org:443" in text
    assert "peers may cache it until 2026-11-23 18:00 UTC 80 ms" in text
    assert "srv \N{EN DASH} skipped the well-known contains a port" in text
    assert "version ✓ passed Synapse 1.163.2 30 ms" in text


async def test_the_way_branches_to_all_endpoints() -> None:
    """Those that other implementations go to are named."""
    text = (await page(two_families())).text
    addresses = [seen.endpoint.address for seen in two_families().endpoints]
    assert [address for address in addresses if f" {address} of " not in text] == []
    assert len(addresses) > 1


async def test_steps_after_a_failure_are_not_reached() -> None:
    """What is known about the failure stands at its step."""
    text = (await page(expired_certificate())).text
    assert "tls ✗ failed certificate_expired" in text
    assert "keys \N{EN DASH} skipped not reached" in text


async def test_the_other_direction_is_a_step_too() -> None:
    """There are three cases: the server came, it did not, or that is not known."""
    came, failed = with_outbound(), with_outbound(Problem(Reason.OUTBOUND_UNREACHABLE, "nothing came back"))
    look = failed.outbound
    assert look
    unknown = replace(failed, outbound=replace(look, outcome=SKIPPED, inconclusive_because="it is not watched"))
    assert "outbound ✓ passed" in (await page(came)).text
    assert "The other direction was looked at 2026-11-22 17:55 UTC" in (await page(came)).text
    assert "outbound ✗ failed outbound_unreachable nothing came back" in (await page(failed)).text
    assert "outbound \N{EN DASH} skipped inconclusive: it is not watched" in (await page(unknown)).text


@pytest.mark.parametrize(
    ("ipv6", "shown"),
    [
        (CAME_OVER_IPV6, "IPv6: it reaches the exporter too"),
        (DID_NOT_COME, "IPv6: it does not reach the exporter"),
        (SKIPPED, "IPv6: nothing shows whether it reaches the exporter"),
    ],
)
async def test_the_other_direction_is_shown_for_each_ip_family(ipv6: Outcome[CameBack], shown: str) -> None:
    """With a name for each of them."""
    text = (await page(with_families(delegated_by_well_known(), CAME_OVER_IPV4, ipv6))).text
    assert "it reaches the exporter over IPv4, after a signed request" in text
    assert shown in text


async def test_both_certificates_are_shown_with_their_chains() -> None:
    """And the days that are left."""
    text = (await page(delegated_by_well_known())).text
    assert "Web server of the name example.org:443 ✓ valid, expires in 29 days" in text
    assert "Homeserver 192.0.2.1:443 ✓ valid, expires in 59 days" in text
    assert "issued by CN=Test Intermediate" in text


async def test_signing_keys_are_shown_with_their_validity() -> None:
    """They are those of the endpoints."""
    text = (await page(delegated_by_well_known())).text
    assert "Published by 192.0.2.1:443; peers may cache them until 2026-11-23 18:00 UTC." in text
    assert "ed25519:a_1 a2V5" in text


async def test_keys_behind_a_bad_certificate_are_marked_as_unverified() -> None:
    """The homeserver is the right one."""
    assert "keys ! unverified" in (await page(behind_expired_certificate())).text


# ---------------------------------------------------------------- history


def incident() -> Iterable[Report]:
    """Return the reports of an incident of 28 minutes, which another certificate ends."""
    good = replace(delegated_by_well_known("expired.example.org"), ended_at=ENDED_AT - timedelta(minutes=50))
    bad = expired_certificate()
    return good, later(bad, -40), later(bad, -30), later(good, 38)


async def test_incidents_tell_how_they_went() -> None:
    """From when to when, what was wrong at how many addresses, and how it ended."""
    text = (await page(*incident())).text
    assert "2026-11-22 17:20 UTC to 17:48 UTC 28 minutes" in text
    assert "17:20 tls certificate_expired at 1 of 1 address 17:48 ✓ good again" in text


async def test_an_incident_links_to_the_whole_report_of_its_first_failure() -> None:
    """With what to do about it."""
    (link,) = [each for each in (await page(*incident())).links if "/incidents/" in each]
    response = await requested(f"/servers/{link}", *incident())
    seen = Page(response.text)
    assert response.status_code == 200
    assert seen.title == "expired.example.org, incident of 2026-11-22 17:20 UTC"
    assert "What to do: Renew the certificate" in seen.text
    assert '"checked_at": "2026-11-22T17:20:00Z"' in seen.text
    for other in seen.links:
        assert other.startswith("../../../"), other


async def test_changes_are_shown_with_before_and_after() -> None:
    """They are those between good observations."""
    before = delegated_by_well_known()
    updated = Passed(0.03, Software("Synapse", "1.164.0"))
    endpoints = tuple(replace(each, version=updated) for each in before.endpoints)
    text = (await page(before, later(replace(before, endpoints=endpoints), 1))).text
    assert "2026-11-22 18:01 UTC software Synapse 1.163.2 Synapse 1.164.0" in text


@pytest.mark.parametrize("began", ["2026-11-22T17:21:00+00:00", "2026-11-22T17:20:00", "yesterday", "1"])
async def test_an_unknown_incident_is_a_page_that_says_so(began: str) -> None:
    """With status 404."""
    response = await requested(f"/servers/expired.example.org/incidents/{began}", *incident())
    assert response.status_code == 404
    assert "No incident of expired.example.org that began at this time is known." in Page(response.text).text


# ---------------------------------------------------------------- other states


async def test_a_server_without_a_result_has_a_page() -> None:
    """It can be probed from there."""
    response = await get("/servers/new.example.org", board=board_of([watched_server("new.example.org")]))
    seen = Page(response.text)
    assert seen.title == "\N{EN DASH} new.example.org has no result yet"
    assert "Probe now" in seen.text


async def test_a_clock_that_was_set_back_shows_no_negative_times() -> None:
    """A result may seem to be from the future."""
    seen = await page(later(delegated_by_well_known(), 60))
    assert "for 0 seconds" in seen.text
    assert "Checked 0 seconds ago" in seen.text


async def test_an_old_result_is_marked() -> None:
    """There are two cases: the exporter is late, or its own network was down."""
    report = delegated_by_well_known()
    old = board_of([watched_server("example.org")], report, at=ENDED_AT + timedelta(hours=1))
    assert "This result is old" in Page((await get("/servers/example.org", board=old)).text).text
    offline = await page(report, replace(later(report, 1), exporter_offline=True))
    assert "The exporter's own network was down during the latest probe, or its proxy failed." in offline.text


async def test_unreliable_durations_are_marked() -> None:
    """The exporter itself was busy."""
    seen = await page(replace(delegated_by_well_known(), stalled_seconds=0.5))
    assert "the durations may be its own delays" in seen.text


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/servers/not.watched.example.org", 404, "not.watched.example.org is not watched"),
        ("/servers/%3Cb%3E", 400, "'<b>' is not a server name"),
        ("/servers?server_name=", 400, "'' is not a server name: the host is empty."),
        ("/servers", 400, "Expected one parameter server_name, found none"),
    ],
)
async def test_refusals_are_pages_with_a_sentence(path: str, status: int, sentence: str) -> None:
    """And with the right status."""
    response = await requested(path, delegated_by_well_known())
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert sentence in Page(response.text).text


@pytest.mark.parametrize(
    "report",
    [delegated_by_well_known(), expired_certificate(), faults_in_deep_look(), with_deep_look(), two_families()],
    ids=["healthy", "expired", "deep look", "proxy", "two families"],
)
async def test_every_link_works(report: Report) -> None:
    """The exporter serves everything that the page links to or loads, but for what makes it probe, and the contacts."""
    seen = await page(report)
    links = {link for link in seen.links if link != str(report.server_name)} - CONTACTS
    assert len(links) > 5
    for link in links:
        path = link.removeprefix("..") if link.startswith("../") else f"/servers/{link}"
        assert (await requested(path, report)).status_code == 200, link


# ---------------------------------------------------------------- whom to contact


async def test_the_page_says_whom_to_contact() -> None:
    """As the server says itself, with the role of each contact."""
    seen = await page(with_deep_look())
    assert (
        "Whom to contact @admin:example.org or admin@example.org admin sec@a.org security https://example.org/support"
        in seen.text
    )
    assert set(seen.links) >= CONTACTS


async def test_a_server_that_names_nobody_has_no_contacts() -> None:
    """It is no fault."""
    assert "Whom to contact" not in (await page(delegated_by_well_known())).text


async def test_the_page_offers_the_feed_and_the_badge() -> None:
    """The badge is shown as it looks elsewhere."""
    seen = await page(delegated_by_well_known())
    assert {"../servers/example.org/feed.atom", "../badge/example.org.svg"} <= set(seen.links)
    assert "![Matrix federation](https://EXPORTER/badge/example.org.svg)" in seen.text
