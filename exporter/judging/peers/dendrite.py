"""Dendrite, as seen on commit 08cac1c and read in matrix-org/gomatrixserverlib."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from exporter.judging.peers.peer import Peer, Refusals
from exporter.model import names
from exporter.model.enums import Implementation, Means, Oddity, SrvService, Stage
from exporter.model.findings import SrvRecord, SrvRecords, TlsSession, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem, WeakKey
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, LocatedProblem

_LEAST_RSA_BITS = 1024  # crypto/tls of Go


class Dendrite(Peer):
    implementation = Implementation.DENDRITE
    name = "Dendrite"
    max_redirects = 10  # of net/http
    max_well_known_bytes = 50 * 1024  # fclient/well_known.go
    refused_in_well_known = frozenset(
        {Oddity.BYTE_ORDER_MARK, Oddity.TRAILING_DATA, Oddity.NOT_GZIPPED}  # it asks for gzip itself
    )
    # The suites that crypto/tls offers by default: neither finite-field nor RSA key exchange, and of CBC only SHA-1.
    ciphers = frozenset(
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
    )
    refused_leaf_keys = frozenset({"Ed448", "RSA-PSS"})  # not in crypto/x509
    second_looks = frozenset({Means.HOMESERVER_AGENT, Means.UNVERIFIED})
    refused_keys: ClassVar[Refusals] = {
        Oddity.BYTE_ORDER_MARK: "they begin with a byte order mark",
        Oddity.NOT_GZIPPED: "they are not compressed, although their Content-Encoding says so",
        Oddity.OLD_KEYS_NOT_AN_OBJECT: "old_verify_keys is not an object",
        Oddity.OLD_KEY_NOT_BASE64: "an old key is not base64",
        Oddity.KEY_DID_NOT_SIGN: "one of the keys has not signed them",  # CheckKeys, keys.go
        Oddity.NOT_AN_INTEGER: "a number in them is not an integer",
        Oddity.PADDED_BASE64: "their base64 is padded",
    }

    def m_server(self, response: WellKnownResponse) -> str | None:
        """Go's JSON does not mind the case of a key."""
        return response.m_server_in_any_case

    def parse_m_server(self, text: str) -> ServerName | LocatedProblem | None:
        return super().parse_m_server(text) if without_dot(text) == text else _parse_dotted(self, text)

    def choose_records(self, service: SrvService, records: tuple[SrvRecord, ...]) -> SrvRecords | LocatedProblem:
        """Go's resolver drops targets that are not host names."""
        usable = tuple(record for record in records if names.ip_literal(record.target.host) is None)
        if not usable:
            why = f"{self.name} ignores SRV targets that are IP addresses"
            return LocatedProblem(Stage.SRV, None, Problem(Reason.DNS_FAILURE, why))
        return SrvRecords({service: usable}, service)

    def goes_on_after(self, tried: Sequence[EndpointReport]) -> bool:
        """It tries the next target after any failure to connect, TLS included (fclient/client.go)."""
        return all(self.tls_fault(each, self.answers(each).tls) for each in tried)

    def tolerates(self, problem: Problem) -> bool:
        return isinstance(problem, WeakKey) and problem.kind == "RSA" and problem.bits >= _LEAST_RSA_BITS

    def session_fault(self, seen: EndpointReport, session: TlsSession) -> LocatedProblem | None:
        """It offers HTTP/2, and speaks it with whoever chooses that."""
        if seen.deep and seen.deep.http2_broken:
            why = f"the server chooses HTTP/2, which {self.name} offers, and does not speak it"
            return LocatedProblem(Stage.TLS, seen.endpoint, Problem(Reason.HTTP_PROTOCOL, why))
        return super().session_fault(seen, session)


def without_dot(text: str) -> str:
    """Return a server name without the dot at the end of its host."""
    host, colon, port = text.rpartition(":")
    return f"{host.removesuffix('.')}{colon}{port}" if colon else text.removesuffix(".")


def _parse_dotted(peer: Peer, text: str) -> ServerName | LocatedProblem | None:
    """The dot makes the name absolute in DNS, is sent in `Host`, and is not part of the certificate's name."""
    parsed = Peer.parse_m_server(peer, without_dot(text))
    return replace(parsed, text=text) if isinstance(parsed, ServerName) else parsed
