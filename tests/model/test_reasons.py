"""The remedies of reasons and warnings."""

import pytest

from exporter.judging.remedies import STAGE_REMEDIES, of_stage
from exporter.judging.warnings import WarningName
from exporter.model.enums import Stage
from exporter.model.reasons import ON_WEB_SERVER, Reason

# The thing that has to be changed or checked, which each remedy must name.
SUBJECTS = {
    Reason.NXDOMAIN: "DNS",
    Reason.NO_ADDRESSES: "AAAA record",
    Reason.DNS_FAILURE: "DNS servers",
    Reason.DNS_TIMEOUT: "DNS servers",
    Reason.SRV_TARGET_ALIAS: "SRV record",
    Reason.SRV_SERVICE_UNAVAILABLE: "SRV record",
    Reason.SRV_PORT_ZERO: "DNS zone",
    Reason.BLOCKED_ADDRESS: "(split-horizon DNS), name a public resolver in network.resolvers",
    Reason.CONNECT_REFUSED: "port",
    Reason.CONNECT_TIMEOUT: "firewall",
    Reason.CONNECT_PROHIBITED: "firewalld",
    Reason.UNREACHABLE: "firewall",
    Reason.TUNNEL_FAILED: "port",
    Reason.TUNNEL_TIMEOUT: "firewall",
    Reason.PROXY_UNREACHABLE: "network.proxy",
    Reason.PROXY_AUTHENTICATION: "credentials_file",
    Reason.PROXY_FORBIDDEN: "acl SSL_ports port 8448",
    Reason.PROXY_PROTOCOL: "network.proxy",
    Reason.TLS_HANDSHAKE: "reverse proxy",
    Reason.TLS_TIMEOUT: "path MTU",
    Reason.NOT_TLS: "listen 8448 ssl",
    Reason.CERTIFICATE_EXPIRED: "Renew",
    Reason.CERTIFICATE_NOT_YET_VALID: "clocks",
    Reason.CERTIFICATE_NAME_MISMATCH: "subjectAltName",
    Reason.CERTIFICATE_UNTRUSTED: "network.ca_file",
    Reason.CERTIFICATE_INCOMPLETE_CHAIN: "fullchain.pem",
    Reason.CERTIFICATE_INVALID: "issued again",
    Reason.HTTP_STATUS: "/_matrix/key",
    Reason.HTTP_TIMEOUT: "upstream",
    Reason.HTTP_PROTOCOL: "reverse proxy",
    Reason.REDIRECT: "https",
    Reason.TOO_LARGE: "path",
    Reason.NOT_JSON: "reverse proxy",
    Reason.INVALID_CONTENT: "which program",
    Reason.INVALID_DELEGATION: '{"m.server": "matrix.example.org:443"}',
    Reason.SERVER_NAME_MISMATCH: "server_name in the homeserver's configuration",
    Reason.NO_SIGNING_KEY: "signing key file",
    Reason.SIGNATURE_INVALID: "proxy",
    Reason.KEY_EXPIRED: "clock",
    Reason.PATH_DECODED: "proxy_pass",
    Reason.BODY_LIMIT: "client_max_body_size",
    Reason.NOT_FORWARDED: "every path under /_matrix",
    Reason.CATCH_ALL: "/_matrix",
    Reason.OUTBOUND_UNREACHABLE: "firewall for outgoing connections",
    Reason.FEDERATION_DENIED: "federation_domain_whitelist",
    Reason.SIGNATURE_REJECTED: "proxy_pass",
    Reason.AUTHORIZATION_STRIPPED: "Authorization",
    Reason.OUTBOUND_CLOCK: "NTP",
    Reason.TIMEOUT: "probe.timeout",
    Reason.INTERNAL_ERROR: "exporter's log",
}


@pytest.mark.parametrize("reason", Reason)
def test_a_remedy_names_what_to_change(reason: Reason) -> None:
    """Every reason has a remedy, which is one or more whole sentences."""
    assert SUBJECTS[reason] in reason.remedy
    assert reason.remedy.endswith(".")


# Where an administrator can act; the exporter itself is one of these places.
PLACES = ("DNS", "web server", "reverse proxy", "homeserver", "exporter")
EVERY_REMEDY = {
    **{str(reason): reason.remedy for reason in Reason},
    **{f"{stage} {reason}": text for (stage, reason), text in STAGE_REMEDIES.items()},
    **{str(warning): warning.remedy for warning in WarningName},
}


@pytest.mark.parametrize("text", EVERY_REMEDY.values(), ids=EVERY_REMEDY)
def test_a_remedy_names_where_to_act(text: str) -> None:
    """It is printable, and does not break a table in Markdown."""
    assert any(place in text for place in PLACES)
    assert text.isprintable()
    assert text.endswith(".")
    assert "|" not in text


def test_a_lost_delegation_is_restored_where_it_was() -> None:
    """The remedy does not name the port that peers fall back to, where the error shows but not its cause."""
    text = WarningName.DELEGATION_LOST.remedy
    assert text.startswith(ON_WEB_SERVER)
    assert "8448" not in text


def test_a_stage_may_have_a_remedy_of_its_own() -> None:
    """In all other stages the common remedy of the reason holds."""
    assert of_stage(Stage.WELL_KNOWN, Reason.NOT_JSON).startswith(ON_WEB_SERVER)
    assert of_stage(Stage.KEYS, Reason.NOT_JSON) == Reason.NOT_JSON.remedy
    assert all(text != reason.remedy for (_, reason), text in STAGE_REMEDIES.items())
