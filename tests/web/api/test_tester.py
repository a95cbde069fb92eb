"""`/api/report` and `/api/federation-ok`, as programs for the public federation tester use them."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.ports import refuse_connections
from tests.embedded_federation import lab_servers
from tests.web.lab_site import BROKEN, HEALTHY, LabSite, lab_site

pytestmark = pytest.mark.lab

RECORDED = Path(__file__).parent / "recorded"
MAPPINGS = ("Hosts", "ConnectionReports", "ConnectionErrors", "Ed25519Checks", "Ed25519VerifyKeys")
KEY_MAPPINGS = ("verify_keys", "old_verify_keys", "signatures")
DELEGATED, OVER_SRV, REFUSED = lab_servers("well-known-port.lab.test", "srv.lab.test", "refused.lab.test")


def shape(value: object, name: str = "") -> object:
    """Return keys and types. A mapping by address, host or key is reduced to its values, and a list to its items."""
    if isinstance(value, dict) and name in (*MAPPINGS, *KEY_MAPPINGS):
        return {"*": merged(shape(entry, "signatures" if name == "signatures" else "") for entry in value.values())}
    if isinstance(value, dict):
        return {key: shape(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [merged(shape(entry) for entry in value)]
    return type(value).__name__


def merged(shapes: Any) -> object:
    distinct = {json.dumps(each): each for each in shapes}
    return sorted(distinct.values(), key=json.dumps)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"tester_{name}.json").read_text())


async def fetch_tester_report(site: LabSite, server_name: str) -> Any:
    """Return the report of a fresh probe in the format of the public tester."""
    response = await site.get_probed("/api/report", server_name=server_name, fresh="true")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    return response.json()


# ---------------------------------------------------------------- the format


async def test_a_healthy_server_has_the_recorded_format(tmp_path: Path) -> None:
    """Every key and type is the same, including null."""
    async with lab_site(tmp_path, DELEGATED) as site:
        assert shape(await fetch_tester_report(site, DELEGATED.server_name)) == shape(recorded("healthy"))


async def test_a_broken_server_has_the_recorded_format(tmp_path: Path) -> None:
    """The server has SRV records and refuses connections."""
    broken = replace(OVER_SRV, ports=dict.fromkeys(OVER_SRV.ports, refuse_connections))
    async with lab_site(tmp_path, broken) as site:
        assert shape(await fetch_tester_report(site, broken.server_name)) == shape(recorded("refused"))


@pytest.mark.parametrize(("server_name", "status"), [("a..b", 200), ("unknown.test", 404)])
async def test_a_refusal_has_the_same_format(tmp_path: Path, server_name: str, status: int) -> None:
    """It uses the public tester's field for errors. Unless the name is invalid, it has a status too."""
    async with lab_site(tmp_path, HEALTHY) as site:
        response = await site.get("/api/report", server_name=server_name)
    document = response.json()
    assert response.status_code == status
    assert document.pop("Error")
    assert set(document) == set(recorded("healthy"))
    assert document["FederationOK"] is False


# ---------------------------------------------------------------- the content


async def test_the_fields_of_a_healthy_server(tmp_path: Path) -> None:
    """They agree with the exporter's own report."""
    async with lab_site(tmp_path, DELEGATED) as site:
        running = site.federation.server(DELEGATED.server_name)
        document = await fetch_tester_report(site, DELEGATED.server_name)
        report = await site.report(DELEGATED)
        keys = json.loads(running.homeserver.keys().body)
    (address,) = document["DNSResult"]["Addrs"]
    (endpoint,) = report["endpoints"]
    connection = document["ConnectionReports"][address]
    leaf = connection["Certificates"][0]
    assert address == endpoint["address"]
    assert document["WellKnownResult"]["m.server"] == report["delegation"]["well_known"]["m_server"]
    assert document["Version"] == {"name": "Lab", "version": "1.0"}
    assert base64.b64decode(leaf["SHA256Fingerprint"] + "=").hex() == endpoint["certificate"]["fingerprint_sha256"]
    assert (leaf["SubjectCommonName"], leaf["DNSNames"]) == (
        endpoint["certificate"]["subject"],
        endpoint["certificate"]["names"],
    )
    assert leaf["IssuerCommonName"] == connection["Certificates"][1]["SubjectCommonName"]
    assert connection["Cipher"] == {"Version": "TLS 1.3", "CipherSuite": "TLS_AES_256_GCM_SHA384"}
    assert connection["Ed25519VerifyKeys"] == endpoint["keys"]
    assert (set(connection["Keys"]), connection["Keys"]["verify_keys"]) == (set(keys), keys["verify_keys"])
    assert connection["Checks"] == {
        "AllChecksOK": True,
        "MatchingServerName": True,
        "FutureValidUntilTS": True,
        "HasEd25519Key": True,
        "AllEd25519ChecksOK": True,
        "Ed25519Checks": {key_id: {"ValidEd25519": True, "MatchingSignature": True} for key_id in endpoint["keys"]},
        "ValidCertificates": True,
    }


@pytest.mark.parametrize(
    ("server_name", "checks"),
    [
        ("expired.lab.test", {"ValidCertificates": False, "MatchingServerName": True, "AllEd25519ChecksOK": True}),
        ("other-keys.lab.test", {"MatchingServerName": False, "AllEd25519ChecksOK": True, "ValidCertificates": True}),
        ("expired-keys.lab.test", {"FutureValidUntilTS": False, "MatchingServerName": True}),
        ("bad-signature.lab.test", {"AllEd25519ChecksOK": False, "HasEd25519Key": True}),
    ],
)
async def test_a_failed_check_is_shown(tmp_path: Path, server_name: str, checks: dict[str, object]) -> None:
    """The overall check fails too, and keys that fail a check of their own are not shown."""
    (server,) = lab_servers(server_name)
    async with lab_site(tmp_path, server) as site:
        document = await fetch_tester_report(site, server_name)
    (connection,) = document["ConnectionReports"].values()
    assert {name: connection["Checks"][name] for name in checks} == checks
    assert connection["Checks"]["AllChecksOK"] is False
    assert (connection["Ed25519VerifyKeys"] is None) is connection["Checks"]["ValidCertificates"]
    assert document["FederationOK"] is False


async def test_an_invalid_certificate_is_described(tmp_path: Path) -> None:
    """Its error has the reason. The keys behind it are fetched for the document."""
    async with lab_site(tmp_path, BROKEN) as site:
        document = await fetch_tester_report(site, BROKEN.server_name)
    (connection,) = document["ConnectionReports"].values()
    assert connection["Certificates"][0]["DNSNames"] == [BROKEN.server_name]
    assert connection["Keys"]["server_name"] == BROKEN.server_name
    (error,) = connection["Errors"]
    assert error["Message"].startswith("certificate_expired: the certificate has expired")


async def test_a_host_without_an_address_has_an_error(tmp_path: Path) -> None:
    """The error has the reason."""
    (server,) = lab_servers("nxdomain.lab.test")
    async with lab_site(tmp_path, server) as site:
        document = await fetch_tester_report(site, server.server_name)
    error = {"Message": f"nxdomain: {server.server_name} does not exist in DNS"}
    host = {"CName": f"{server.server_name}.", "Addrs": None, "Error": error}
    assert document["DNSResult"]["Hosts"] == {server.server_name: host}
    assert document["DNSResult"]["Addrs"] is None
    assert document["Version"] == {"error": f"dns: {error['Message']}"}


# ---------------------------------------------------------------- clients


@pytest.mark.parametrize(("server", "word"), [(HEALTHY, "GOOD"), (BROKEN, "BAD")])
async def test_federation_ok_is_one_word(tmp_path: Path, server: Any, word: str) -> None:
    """It is the whole body, because scripts compare it. The status is 200 in both cases."""
    async with lab_site(tmp_path, server) as site:
        response = await site.get_probed("/api/federation-ok", server_name=server.server_name, fresh="true")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert response.text == word


@pytest.mark.parametrize(("server_name", "status"), [("unknown.test", 404), (HEALTHY.server_name, 503)])
async def test_federation_ok_is_no_verdict_if_nothing_is_known(tmp_path: Path, server_name: str, status: int) -> None:
    """The body is neither GOOD nor BAD."""
    async with lab_site(tmp_path, HEALTHY) as site:
        response = await site.get("/api/federation-ok", server_name=server_name)
    assert response.status_code == status
    assert not re.search("GOOD|BAD", response.text)


async def test_json_exporter_can_read_the_report(tmp_path: Path) -> None:
    """Its paths are a subset of JSONPath."""
    async with lab_site(tmp_path, HEALTHY, BROKEN) as site:
        found = [
            at_path(await fetch_tester_report(site, server.server_name), "{.FederationOK}")
            for server in (HEALTHY, BROKEN)
        ]
        cipher = at_path(await fetch_tester_report(site, HEALTHY.server_name), "{.ConnectionReports.*.Cipher.Version}")
    assert (found, cipher) == ([True, False], "TLS 1.3")


def at_path(document: Any, path: str) -> Any:
    for step in path.strip("{.}").split("."):
        document = next(iter(document.values())) if step == "*" else document[step]
    return document
