"""Certificates, as servers present them."""

from collections.abc import Callable
from datetime import timedelta

from cryptography.hazmat.primitives import hashes

from exporter.demo.authority import CertificateState
from exporter.demo.servers import HEALTHY, CertificateSource, Place, Website, federates
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.lab.hostile import bad_certificates
from tests.lab.hostile.bad_certificates import DAY, DNS_NAME, IP_ADDRESS, MD5_WITH_RSA, SHA1_WITH_RSA, signed_with
from tests.lab.hostile.rows import HostileServer, found, numbered

INVALID = found(Stage.TLS, Reason.CERTIFICATE_INVALID)
EXPIRED = found(Stage.TLS, Reason.CERTIFICATE_EXPIRED)
UNTRUSTED = found(Stage.TLS, Reason.CERTIFICATE_UNTRUSTED)
MISMATCH = found(Stage.TLS, Reason.CERTIFICATE_NAME_MISMATCH)
TOO_LARGE = found(Stage.TLS, Reason.TOO_LARGE)
REFUSED = found(Stage.TLS, Reason.TLS_HANDSHAKE)
YEAR = timedelta(days=365)


def presents(issue: CertificateSource) -> Callable[[str], Place]:
    return lambda name: Website(name, homeserver=True, issue=issue)


def in_state(state: CertificateState) -> Callable[[str], Place]:
    return lambda name: federates(name, state)


CERTIFICATE_SERVERS = numbered(
    "203.0.113.",
    (
        # ------------------------------------------------------------ the chain
        HostileServer("leaf-expired", "expired yesterday", in_state(CertificateState.EXPIRED), EXPIRED),
        HostileServer(
            "middle-expired",
            "the intermediate expired yesterday",
            presents(bad_certificates.under_an_intermediate(ends=-DAY)),
            EXPIRED,
        ),
        HostileServer(
            "root-expired", "the root expired yesterday", presents(bad_certificates.under_a_lapsed_root), EXPIRED
        ),
        HostileServer(
            "leaf-future",
            "not valid before tomorrow",
            in_state(CertificateState.NOT_YET_VALID),
            found(Stage.TLS, Reason.CERTIFICATE_NOT_YET_VALID),
        ),
        HostileServer(
            "middle-future",
            "an intermediate that is not valid before tomorrow",
            presents(bad_certificates.under_an_intermediate(begins=DAY, ends=YEAR)),
            found(Stage.TLS, Reason.CERTIFICATE_NOT_YET_VALID),
        ),
        HostileServer("chain-self-signed", "signed by itself", in_state(CertificateState.SELF_SIGNED), UNTRUSTED),
        HostileServer(
            "chain-untrusted", "of a root that nobody trusts", in_state(CertificateState.UNTRUSTED), UNTRUSTED
        ),
        HostileServer(
            "chain-incomplete",
            "sent alone",
            in_state(CertificateState.INCOMPLETE_CHAIN),
            found(Stage.TLS, Reason.CERTIFICATE_INCOMPLETE_CHAIN),
        ),
        HostileServer(
            "chain-of-leaf", "signed by one who may not sign", presents(bad_certificates.under_a_leaf), INVALID
        ),
        HostileServer(
            "chain-too-deep", "one authority too many", presents(bad_certificates.under_one_too_many), INVALID
        ),
        HostileServer(
            "chain-for-others", "an authority for others", presents(bad_certificates.under_one_for_others), INVALID
        ),
        HostileServer("chain-namesake", "signed by a namesake", presents(bad_certificates.by_a_namesake), UNTRUSTED),
        HostileServer(
            "chain-order", "in wrong order, with the root", presents(bad_certificates.in_wrong_order), HEALTHY
        ),
        HostileServer("chain-long", "8 more certificates", presents(bad_certificates.with_copies(8)), HEALTHY),
        HostileServer("chain-longer", "30 more certificates", presents(bad_certificates.with_copies(30)), TOO_LARGE),
        HostileServer("chain-giant", "200 more certificates", presents(bad_certificates.with_copies(200)), TOO_LARGE),
        HostileServer("for-clients", "for clients only", in_state(CertificateState.FOR_CLIENTS), INVALID),
        HostileServer("unknown-demand", "an unknown demand", presents(bad_certificates.with_unknown_demand), INVALID),
        HostileServer("without-end", "valid until the year 9999", presents(bad_certificates.without_end), HEALTHY),
        # ------------------------------------------------------------ keys and signatures
        HostileServer("weak-rsa", "an RSA key of 1024 bits", presents(bad_certificates.with_weak_rsa), INVALID),
        HostileServer(
            "weak-curve", "a curve that is no longer offered", presents(bad_certificates.with_weak_curve), REFUSED
        ),
        HostileServer("sha1", "signed with SHA-1", presents(signed_with(hashes.SHA1(), SHA1_WITH_RSA)), INVALID),
        HostileServer("md5", "signed with MD5", presents(signed_with(hashes.MD5(), MD5_WITH_RSA)), INVALID),
        # ------------------------------------------------------------ names
        HostileServer("name-wrong", "for another name", in_state(CertificateState.WRONG_NAME), MISMATCH),
        HostileServer("name-common", "only a common name", in_state(CertificateState.COMMON_NAME_ONLY), MISMATCH),
        HostileServer(
            "wildcard", "for *.hostile.test", presents(bad_certificates.bearing(["*.hostile.test"])), HEALTHY
        ),
        HostileServer("wildcard-wide", "for *.test", presents(bad_certificates.bearing(["*.test"])), INVALID),
        HostileServer("wildcard-bare", "for *", presents(bad_certificates.bearing(["*"])), INVALID),
        HostileServer("wildcard-twice", "for *.*.test", presents(bad_certificates.bearing(["*.*.test"])), INVALID),
        HostileServer(
            "wildcard-partial",
            "for wild*.hostile.test",
            presents(bad_certificates.bearing(["wild*.hostile.test"])),
            MISMATCH,
        ),
        HostileServer("wildcard-below", "for the names below", presents(bad_certificates.bearing(["*.{}"])), MISMATCH),
        HostileServer(
            "name-many",
            "300 other names",
            presents(bad_certificates.bearing(["{}", *(f"n{number}.test" for number in range(300))])),
            HEALTHY,
        ),
        HostileServer(
            "name-more",
            "1000 other names",
            presents(bad_certificates.bearing(["{}", *(f"n{number}.test" for number in range(1000))])),
            TOO_LARGE,
        ),
        HostileServer(
            "name-nul", "with a NUL", presents(bad_certificates.bearing_raw(DNS_NAME, b"{}\0.evil.test")), INVALID
        ),
        HostileServer(
            "name-latin",
            "with a letter of Latin-1",
            presents(bad_certificates.bearing_raw(DNS_NAME, b"b\xfccher.hostile.test")),
            INVALID,
        ),
        HostileServer(
            "name-utf8",
            "with a letter in UTF-8",
            presents(bad_certificates.bearing_raw(DNS_NAME, "bücher.hostile.test".encode())),
            MISMATCH,
        ),
        HostileServer(
            "name-empty", "for the empty name", presents(bad_certificates.bearing_raw(DNS_NAME, b"")), INVALID
        ),
        HostileServer(
            "name-dot",
            "with a dot at the end",
            presents(bad_certificates.bearing_raw(DNS_NAME, b"{}.")),
            MISMATCH,
        ),
        HostileServer(
            "name-short-ip",
            "for an IP address of three bytes",
            presents(bad_certificates.bearing_raw(IP_ADDRESS, b"\x7f\0\1")),
            INVALID,
        ),
        HostileServer("name-markup", "names that would do harm", presents(bad_certificates.called_by_markup), HEALTHY),
    ),
)
