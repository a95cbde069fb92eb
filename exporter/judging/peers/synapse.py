"""Synapse, as seen on version 1.163.2 and read in element-hq/synapse."""

from dataclasses import replace
from typing import ClassVar

from exporter.judging.peers.peer import Peer, Refusals
from exporter.model.enums import Implementation, Means, Oddity, Stage
from exporter.model.findings import SrvRecords
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.report import LocatedProblem


class Synapse(Peer):
    implementation = Implementation.SYNAPSE
    name = "Synapse"
    max_redirects = 20  # of Twisted's RedirectAgent
    max_well_known_bytes = 50 * 1024  # WELL_KNOWN_MAX_SIZE, http/federation/well_known_resolver.py
    max_header_line_bytes = 16 * 1024  # LineReceiver.MAX_LENGTH of Twisted
    second_looks = frozenset({Means.HOMESERVER_AGENT, Means.FINITE_FIELD})  # OpenSSL offers DHE by default
    refused_keys: ClassVar[Refusals] = {
        Oddity.CONTENT_TYPE: "their Content-Type is not application/json",  # check_content_type_is
        Oddity.GZIPPED: "they are compressed, although it did not ask for that",
        Oddity.TRAILING_DATA: "something follows the JSON",
        Oddity.BYTE_ORDER_MARK: "they begin with a byte order mark",
        Oddity.REDIRECTED: "they are behind a redirect, which it does not follow",
        Oddity.KEY_MALFORMED: "one of the keys is not an ed25519 key",  # process_v2_response, crypto/keyring.py
        Oddity.FIRST_SIGNATURE_WRONG: "the first signature is wrong",
        Oddity.OLD_KEYS_NOT_AN_OBJECT: "old_verify_keys is not an object",
        Oddity.OLD_KEYS_NULL: "old_verify_keys is null",
        Oddity.OLD_KEY_NOT_BASE64: "an old key is not base64",
        Oddity.OLD_KEY_WITHOUT_EXPIRY: "an old key has no expired_ts",
    }

    def parse_m_server(self, text: str) -> ServerName | LocatedProblem | None:
        """It falls back from a text that is not ASCII (http/federation/well_known_resolver.py), and ignores port 0."""
        parsed = super().parse_m_server(text) if text.isascii() else None
        return replace(parsed, port=parsed.port or None) if isinstance(parsed, ServerName) else parsed

    def after_srv_failure(self, failure: Problem) -> SrvRecords | LocatedProblem:
        """A lookup that fails fails the request (http/federation/srv_resolver.py)."""
        return LocatedProblem(Stage.SRV, None, failure)
