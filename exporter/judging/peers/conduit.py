"""The Conduit family (tuwunel, continuwuity), modelled from resolvematrix 1.4.0, its library for discovery."""

from exporter.judging.peers.dendrite import without_dot
from exporter.judging.peers.peer import Peer
from exporter.model.enums import Implementation, Oddity, SrvService
from exporter.model.findings import HttpShape, SrvRecord, SrvRecords, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.report import LocatedProblem


class Conduit(Peer):
    implementation = Implementation.CONDUIT
    name = "the Conduit family"
    max_redirects = 10  # of reqwest
    max_well_known_bytes = 256 * 1024
    max_header_lines = 100  # of hyper
    refused_in_well_known = Peer.refused_in_well_known | {Oddity.REPEATED_KEY}  # by serde
    # rustls offers no CBC, and elliptic curves only.
    ciphers = frozenset(
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    )
    refused_leaf_keys = frozenset({"secp521r1", "secp256k1", "Ed448", "RSA-PSS"})  # not in ring, which rustls uses

    def without_m_server(self, response: WellKnownResponse) -> LocatedProblem | None:
        """It takes an empty text for a host."""
        return self.refuse_m_server("", "the host is empty") if response.m_server == "" else None

    def parse_m_server(self, text: str) -> ServerName | LocatedProblem | None:
        if text != text.lower():
            return self.refuse_m_server(text, "it has capitals")
        return super().parse_m_server(without_dot(text))

    def header_fault(self, shape: HttpShape | None) -> Problem | None:
        """The parser of hyper knows no versions but HTTP/1.0 and HTTP/1.1; the others do not mind."""
        if shape and not shape.http_version.startswith("1."):
            why = f"{self.name} does not read a response that is labelled HTTP/{shape.http_version}"
            return Problem(Reason.HTTP_PROTOCOL, why)
        return super().header_fault(shape)

    def choose_records(self, service: SrvService, records: tuple[SrvRecord, ...]) -> SrvRecords | LocatedProblem:
        """It takes one record and ignores the others."""
        return SrvRecords({service: records[:1]}, service)
