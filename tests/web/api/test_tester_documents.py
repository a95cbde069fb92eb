"""The documents in the format of the public federation tester: one for each kind of federation, and their readers.

If a document has changed on purpose, delete its file: the test writes it anew, and fails once.
"""

import base64
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from exporter.demo.servers import LabServer
from exporter.judging.verdict import Federation
from exporter.model import names
from exporter.reports import report_text
from exporter.reports.tester_json import tester_json as document_of
from tests.embedded_federation import lab_servers
from tests.lab.catalogue import EVERY_SERVER
from tests.waiting import until
from tests.web.lab_site import LabSite, lab_site

pytestmark = pytest.mark.lab

GOLDEN = Path(__file__).parent / "golden"
BAD_DELEGATIONS = [server for server in EVERY_SERVER if server.server_name == "well-known-url.lab.test"]
KINDS = [
    *BAD_DELEGATIONS,
    *lab_servers(
        "well-known-port.lab.test",
        "well-known.lab.test",
        "default-port.lab.test",
        "srv.lab.test",
        "srv-legacy.lab.test",
        "dual-stack.lab.test",
        "192.0.2.11",
        "well-known-html.lab.test",
        "srv-servfail.lab.test",
        "srv-alias.lab.test",
        "nxdomain.lab.test",
        "refused.lab.test",
        "plain-http.lab.test",
        "expired.lab.test",
        "wrong-name.lab.test",
        "incomplete-chain.lab.test",
        "no-version.lab.test",
        "bad-signature.lab.test",
        "expired-keys.lab.test",
        "other-keys.lab.test",
    ),
]
INVALID = "a..b"
CHANGING = (
    (r"ed25519:a_[0-9a-f]{6}", "ed25519:a_1"),
    (r'"(SHA256Fingerprint|key|ed25519:a_1)": "[^"]+"', r'"\1": "…"'),
    (r'"(CacheExpiresAt|valid_until_ts|expired_ts)": [1-9]\d+', r'"\1": 1'),
    (r"127\.0\.0\.1:\d+", "192.0.2.53:53"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "2026-11-28 18:00:00"),
)
"""What differs in every run, and what takes its place. A time of 0 is kept."""
DETAIL = r'("(?:Message|error|result)": "(?:[a-z_]+: )+).*"'
"""What comes after the stage and the reason: other tests know the details."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabSite]:
    """A site with a server of each kind, each of which has been probed."""
    async with lab_site(tmp_path_factory.mktemp("kinds"), *KINDS, first_round=0.01) as site:
        await until(lambda: all(rendered.state.report for rendered in site.app.board.snapshot().states))
        yield site


# ---------------------------------------------------------------- one document for each kind


def stable(text: str) -> str:
    """Replace what differs in every run."""
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize("kind", [*(server.server_name for server in KINDS), INVALID])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_document_of_each_kind_of_federation(site: LabSite, kind: str) -> None:
    """Every field and value is as expected, and in that order."""
    response = await site.get("/api/report", server_name=kind)
    assert response.status_code == 200
    text = re.sub(DETAIL, r'\1…"', stable(response.text))
    file = GOLDEN / f"{kind.removesuffix('.lab.test')}.json"
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file} is new: review it")
    assert text == file.read_text()


# ---------------------------------------------------------------- what check tells


@pytest.mark.parametrize("server", KINDS, ids=lambda server: server.server_name)
@pytest.mark.asyncio(loop_scope="module")
async def test_check_tells_everything_that_the_document_tells(site: LabSite, server: LabServer) -> None:
    """The text has every address, certificate, key and error of a server that does not federate in full."""
    state = site.app.board.state(names.parse(server.server_name))
    assert state
    assert state.report
    text, document = report_text.render_plain(state.report), document_of(state.report)
    missing = [fact for fact in facts(document) if squeezed(fact) not in squeezed(text)]
    if state.federation is Federation.FULL:  # then nobody needs the details of its certificates and keys
        missing = [fact for fact in missing if fact not in set(details(document))]
    assert missing == []


def squeezed(text: str) -> str:
    """Return the text without blanks, line breaks and the lines of the tree."""
    return re.sub(r"[\s│├└─]", "", text)


def facts(document: Any) -> Iterator[str]:
    """Yield every text of a document that says something about the server, without reasons."""
    well_known, dns = document["WellKnownResult"], document["DNSResult"]
    yield well_known["m.server"] or without_reasons(well_known["result"].removeprefix("not requested: "))
    for record in dns["SRVRecords"] or ():
        yield f"{record['Priority']} {record['Weight']} {record['Port']} {record['Target'].rstrip('.')}"
    if dns["SRVError"]:
        lookup = dns["SRVError"]["Message"]
        yield "no records" if lookup.endswith("no such host") else without_reasons(lookup)
    for host in (dns["Hosts"] or {}).values():
        yield from host["Addrs"] or ()
        yield without_reasons(host["Error"]["Message"]) if host["Error"] else ""
    yield from dns["Addrs"] or ()
    for address, error in document["ConnectionErrors"].items():
        yield from (address, without_reasons(error["Message"]))
    for connection in document["ConnectionReports"].values():
        yield from (without_reasons(error["Message"]) for error in connection["Errors"])
    yield from map(without_reasons, document["Version"].values())
    yield from details(document)


def details(document: Any) -> Iterator[str]:
    """Yield what a document says about certificates and keys."""
    for connection in document["ConnectionReports"].values():
        yield connection["Cipher"]["CipherSuite"]
        for certificate in connection["Certificates"]:
            yield from (
                certificate["IssuerCommonName"],
                *(certificate["DNSNames"] or [certificate["SubjectCommonName"]]),
            )
            yield base64.b64decode(certificate["SHA256Fingerprint"] + "=").hex()
        keys = connection["Keys"]
        yield keys["server_name"]
        yield from (f"{key_id}: {entry['key']}" for key_id, entry in keys["verify_keys"].items())
        yield from keys["old_verify_keys"]


def without_reasons(message: str) -> str:
    """Return what follows the stage and the reason."""
    return re.sub(r"^([a-z_]+: )+", "", message)


# ---------------------------------------------------------------- programs that read them


def icinga_check(document: dict[str, Any]) -> tuple[int, str]:
    """Return the exit status and the line of an icinga2 check: it reads what is there without asking whether it is."""
    if "Error" in document:
        return 3, f"UNKNOWN: {document['Error']}"
    dns = document["DNSResult"]
    if not dns["SRVSkipped"] and not dns["SRVRecords"]:
        srv = dns["SRVError"]["Message"]
    else:
        srv = "SRV found" if dns["SRVRecords"] else "SRV skipped"
    errors = [f"{address}: {error['Message']}" for address, error in document["ConnectionErrors"].items()]
    for address, connection in document["ConnectionReports"].items():
        errors += [f"{address}: {error['Message']}" for error in connection["Errors"]]
    state = (0, "OK") if document["FederationOK"] else (2, "CRITICAL")
    return state[0], f"{state[1]}: {', '.join(errors) or 'no errors'} ({srv})"


def bot_reply(document: dict[str, Any]) -> str:
    """Return what a chat bot, such as a maubot plugin, replies to a command: the first thing that is wrong."""
    software = document["Version"]
    if not document["ConnectionReports"]:
        return str(software.get("error") or document["Error"])
    for connection in document["ConnectionReports"].values():
        checks = connection["Checks"]
        if not checks["MatchingServerName"]:
            return f"the keys belong to {connection['Keys']['server_name']}"
        if not checks["FutureValidUntilTS"]:
            return "the keys have expired"
        if not checks["HasEd25519Key"] or not checks["AllEd25519ChecksOK"]:
            return "the keys are not signed"
        if not checks["ValidCertificates"]:
            leaf = connection["Certificates"][0]
            return f"the certificate of {leaf['SubjectCommonName']} by {leaf['IssuerCommonName']} is not valid"
    return f"{software['name']} {software['version']} works"


@dataclass
class Expected:
    """What both programs make of a server."""

    status: int
    line: str
    reply: str


NO_SRV = "lookup _matrix._tcp.{}.lab.test: no such host"
READ = {
    "well-known-port": Expected(0, "OK: no errors (SRV skipped)", "Lab 1.0 works"),
    "srv": Expected(0, "OK: no errors (SRV found)", "Lab 1.0 works"),
    "default-port": Expected(0, f"OK: no errors ({NO_SRV})", "Lab 1.0 works"),
    "expired": Expected(
        2,
        "CRITICAL: 192.0.2.101:8448: certificate_expired: the certificate has expired (on 2026-11-28 18:00:00 UTC) "
        f"({NO_SRV})",
        "the certificate of expired.lab.test by Lab Intermediate is not valid",
    ),
    "other-keys": Expected(2, f"CRITICAL: no errors ({NO_SRV})", "the keys belong to somebody-else.test"),
    "expired-keys": Expected(2, f"CRITICAL: no errors ({NO_SRV})", "the keys have expired"),
    "bad-signature": Expected(2, f"CRITICAL: no errors ({NO_SRV})", "the keys are not signed"),
    "refused": Expected(
        2,
        f"CRITICAL: 192.0.2.105:8448: tcp: connect_refused: Connection refused ({NO_SRV})",
        "tcp: connect_refused: Connection refused",
    ),
    "nxdomain": Expected(
        2, f"CRITICAL: no errors ({NO_SRV})", "dns: nxdomain: nxdomain.lab.test does not exist in DNS"
    ),
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("fresh", ["false", "true"])
@pytest.mark.asyncio(loop_scope="module")
async def test_programs_for_the_public_tester_can_read_it(site: LabSite, kind: str, fresh: str) -> None:
    """Nothing that they read is missing, and what they say is true. So is it of a probe that was made for them."""
    expected = READ[kind]
    document = (await site.get_probed("/api/report", server_name=f"{kind}.lab.test", fresh=fresh)).json()
    status, line = icinga_check(document)
    assert (status, stable(line)) == (expected.status, expected.line.format(kind))
    assert bot_reply(document) == expected.reply


@pytest.mark.parametrize("parameters", [{}, {"server_name": ""}, {"server_name": INVALID}, {"server_name": "a/b"}])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_invalid_name_is_an_answer(site: LabSite, parameters: dict[str, str]) -> None:
    """Programs read it like any other: the public tester has no status for it either."""
    document, word = (
        await site.get("/api/report", None, **parameters),
        await site.get("/api/federation-ok", None, **parameters),
    )
    sentence = f"Invalid server name '{parameters.get('server_name', '')}'"
    assert (document.status_code, icinga_check(document.json())) == (200, (3, f"UNKNOWN: {sentence}"))
    assert bot_reply(document.json()) == sentence
    assert (word.status_code, word.text) == (200, "BAD")


# ---------------------------------------------------------------- pages of other sites

PREFLIGHT = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET", "Sec-Fetch-Mode": "cors"}
CROSS_SITE = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "Origin, X-Requested-With, Content-Type, Accept",
}


def cors_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/api/report", "/api/federation-ok"])
@pytest.mark.asyncio(loop_scope="module")
async def test_pages_of_all_sites_may_read_it(site: LabSite, path: str) -> None:
    """A browser asks first (OPTIONS), and then hands over the response, even if it is a refusal."""
    preflight = await site.client.request("OPTIONS", path, headers=PREFLIGHT)
    answered = await site.get(path, CROSS_SITE, server_name=KINDS[0].server_name)
    refused = await site.get(path, CROSS_SITE, server_name="unknown.test")
    assert [response.status_code for response in (preflight, answered, refused)] == [200, 200, 404]
    assert preflight.content == b""
    assert [cors_headers(response) for response in (preflight, answered, refused)] == [CORS] * 3


@pytest.mark.parametrize("path", ["/", "/metrics", "/probe", "/api/v1/report", "/api/openapi.json", "/-/healthy"])
@pytest.mark.asyncio(loop_scope="module")
async def test_pages_of_other_sites_may_read_nothing_else(site: LabSite, path: str) -> None:
    """Neither may they embed these documents."""
    preflight = await site.client.request("OPTIONS", path, headers=PREFLIGHT)
    answered = await site.get(path, CROSS_SITE)
    image = await site.get("/api/report", {**CROSS_SITE, "Sec-Fetch-Mode": "no-cors"}, server_name="unknown.test")
    posted = await site.client.post("/api/report", headers=CROSS_SITE)
    assert [response.status_code for response in (preflight, answered, image, posted)] == [403] * 4
    assert cors_headers(preflight) == cors_headers(answered) == {}
