"""Certificates: invalid chains, weak keys and odd names, and unusual ones that peers accept."""

from datetime import timedelta

from cryptography.hazmat.primitives import hashes

from exporter.demo.authority import EXPIRED, INCOMPLETE_CHAIN, UNTRUSTED, WRONG_NAME, CertificateProfile
from exporter.demo.servers import HEALTHY, CertificateSource, federates
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.lab.certificates import COMMON_NAME_ONLY, FOR_CLIENTS, NOT_YET_VALID, SELF_SIGNED
from tests.lab.hostile import bad_certificates as bad
from tests.lab.hostile import chains, costly_chains
from tests.lab.hostile.bad_certificates import (
    DAY,
    DNS_NAME,
    IP_ADDRESS,
    MD5_WITH_RSA,
    SHA1_PADDING,
    SHA1_WITH_PSS,
    SHA1_WITH_RSA,
)
from tests.lab.hostile.rows import HostileServer, PortOf, found, numbered

INVALID = found(Stage.TLS, Reason.CERTIFICATE_INVALID)
HAS_EXPIRED = found(Stage.TLS, Reason.CERTIFICATE_EXPIRED)
IN_FUTURE = found(Stage.TLS, Reason.CERTIFICATE_NOT_YET_VALID)
NOT_TRUSTED = found(Stage.TLS, Reason.CERTIFICATE_UNTRUSTED)
INCOMPLETE = found(Stage.TLS, Reason.CERTIFICATE_INCOMPLETE_CHAIN)
MISMATCH = found(Stage.TLS, Reason.CERTIFICATE_NAME_MISMATCH)
TOO_LARGE = found(Stage.TLS, Reason.TOO_LARGE)
REFUSED = found(Stage.TLS, Reason.TLS_HANDSHAKE)
YEAR = timedelta(days=365)


def presents(certificate: CertificateProfile | CertificateSource) -> PortOf:
    return lambda name: federates(name, certificate)


def with_names(*names: str) -> PortOf:
    return presents(bad.with_names(names))


def with_raw_name(tag: int, content: bytes) -> PortOf:
    return presents(bad.with_raw_name(tag, content))


def with_other_names(count: int) -> PortOf:
    return with_names("{}", *(f"n{number}.test" for number in range(count)))


EXPIRED_INTERMEDIATE = bad.with_intermediate(ends=-DAY)
FUTURE_INTERMEDIATE = bad.with_intermediate(begins=DAY, ends=YEAR)
SIGNED_WITH_SHA1 = bad.signed_with(hashes.SHA1(), SHA1_WITH_RSA)
SIGNED_WITH_SHA1_PSS = bad.signed_with(hashes.SHA1(), SHA1_WITH_PSS, SHA1_PADDING)
SIGNED_WITH_MD5 = bad.signed_with(hashes.MD5(), MD5_WITH_RSA)

CERTIFICATE_SERVERS = numbered(
    "203.0.113.",
    (
        # ------------------------------------------------------------ the chain
        HostileServer("leaf-expired", "a leaf that expired yesterday", presents(EXPIRED), HAS_EXPIRED),
        HostileServer(
            "middle-expired", "an intermediate that expired yesterday", presents(EXPIRED_INTERMEDIATE), HAS_EXPIRED
        ),
        HostileServer("root-expired", "a root that expired yesterday", presents(bad.with_expired_root), HAS_EXPIRED),
        HostileServer("leaf-future", "a leaf that is not valid until tomorrow", presents(NOT_YET_VALID), IN_FUTURE),
        HostileServer(
            "middle-future",
            "an intermediate that is not valid until tomorrow",
            presents(FUTURE_INTERMEDIATE),
            IN_FUTURE,
        ),
        HostileServer("chain-self-signed", "a self-signed certificate", presents(SELF_SIGNED), NOT_TRUSTED),
        HostileServer("chain-untrusted", "a root that no peer trusts", presents(UNTRUSTED), NOT_TRUSTED),
        HostileServer("chain-incomplete", "no intermediate", presents(INCOMPLETE_CHAIN), INCOMPLETE),
        HostileServer("chain-of-leaf", "an issuer that is a leaf", presents(bad.signed_by_leaf), INVALID),
        HostileServer(
            "chain-too-deep", "one intermediate too many", presents(bad.with_one_intermediate_too_many), INVALID
        ),
        HostileServer(
            "chain-for-others", "an intermediate for another domain", presents(bad.with_name_constraints), INVALID
        ),
        HostileServer(
            "chain-namesake",
            "an issuer with the right name and another key",
            presents(bad.signed_by_namesake),
            INCOMPLETE,
        ),
        HostileServer("chain-former", "the former intermediate", presents(chains.with_former_intermediate), INCOMPLETE),
        HostileServer("chain-root-only", "the root, and no intermediate", presents(chains.with_root_only), INCOMPLETE),
        HostileServer("chain-leaf-twice", "the leaf twice", presents(chains.with_leaf_twice), INCOMPLETE),
        HostileServer("chain-self-issued", "an issuer with the leaf's name", presents(chains.self_issued), HEALTHY),
        HostileServer(
            "chain-self-issued-unsaid",
            "an issuer with the leaf's name, and no key identifier",
            presents(chains.self_issued_without_key_identifier),
            NOT_TRUSTED,
        ),
        HostileServer(
            "chain-cross-expired",
            "an expired cross-signature that nobody needs",
            presents(chains.with_expired_cross_signature),
            HEALTHY,
        ),
        HostileServer(
            "chain-cross-sha1",
            "a cross-signature with SHA-1 that nobody needs",
            presents(chains.with_sha1_cross_signature),
            HEALTHY,
        ),
        HostileServer("chain-order", "the wrong order, with the root", presents(bad.in_wrong_order), HEALTHY),
        HostileServer("chain-long", "8 unrelated certificates", presents(bad.with_unrelated(8)), HEALTHY),
        HostileServer("chain-longer", "30 unrelated certificates", presents(bad.with_unrelated(30)), TOO_LARGE),
        HostileServer("chain-longest", "200 unrelated certificates", presents(bad.with_unrelated(200)), TOO_LARGE),
        HostileServer("for-clients", "a certificate that is only for clients", presents(FOR_CLIENTS), INVALID),
        HostileServer(
            "unknown-critical",
            "a critical extension that no client knows",
            presents(bad.with_unknown_critical_extension),
            INVALID,
        ),
        HostileServer("without-end", "a certificate valid until the year 9999", presents(bad.without_end), HEALTHY),
        # ------------------------------------------------------------ keys and signatures
        HostileServer("weak-rsa", "an RSA key of 1024 bits", presents(bad.with_weak_rsa), INVALID),
        HostileServer("weak-curve", "a curve that clients no longer offer", presents(bad.with_weak_curve), REFUSED),
        HostileServer("sha1", "a signature with SHA-1", presents(SIGNED_WITH_SHA1), INVALID),
        HostileServer("sha1-pss", "an RSASSA-PSS signature with SHA-1", presents(SIGNED_WITH_SHA1_PSS), INVALID),
        HostileServer("md5", "a signature with MD5", presents(SIGNED_WITH_MD5), INVALID),
        HostileServer(
            "weak-pss", "an RSASSA-PSS signature by a key of 1024 bits", presents(bad.with_weak_pss_issuer), INVALID
        ),
        # ------------------------------------------------------------ what takes much CPU time to verify
        HostileServer(
            "slow-issuers",
            "issuers with public exponents of 3072 bits",
            presents(costly_chains.issued_by_slow_keys(8)),
            INVALID,
        ),
        HostileServer(
            "slow-issuers-many",
            "as many such issuers as fit into a handshake",
            presents(costly_chains.issued_by_slow_keys(costly_chains.ISSUERS)),
            TOO_LARGE,
        ),
        HostileServer(
            "slow-issuers-untrusted",
            "such issuers, of a root that no peer trusts",
            presents(costly_chains.issued_by_untrusted_slow_keys(8)),
            INVALID,
        ),
        HostileServer(
            "slow-issuers-self-signed",
            "such issuers, and such a root that signed itself",
            presents(costly_chains.issued_by_itself_and_slow_keys(8)),
            INVALID,
        ),
        HostileServer(
            "slow-leaf", "a leaf with such a public exponent", presents(costly_chains.with_slow_leaf), INVALID
        ),
        HostileServer(
            "rsa-large", "an issuer with an RSA key of 8200 bits", presents(costly_chains.issued_by_large_key), INVALID
        ),
        HostileServer("dsa", "an issuer with a DSA key", presents(costly_chains.issued_by_dsa_key), INVALID),
        HostileServer(
            "issuers-many", "11 issuers", presents(costly_chains.issued_by_many(costly_chains.ISSUERS)), TOO_LARGE
        ),
        # ------------------------------------------------------------ names
        HostileServer("name-wrong", "a certificate for another name", presents(WRONG_NAME), MISMATCH),
        HostileServer("name-common", "only a common name", presents(COMMON_NAME_ONLY), MISMATCH),
        HostileServer("wildcard", "the name *.hostile.test", with_names("*.hostile.test"), HEALTHY),
        HostileServer("wildcard-wide", "the name *.test", with_names("*.test"), INVALID),
        HostileServer("wildcard-bare", "the name *", with_names("*"), INVALID),
        HostileServer("wildcard-twice", "the name *.*.test", with_names("*.*.test"), INVALID),
        HostileServer("wildcard-partial", "the name wild*.hostile.test", with_names("wild*.hostile.test"), MISMATCH),
        HostileServer("wildcard-below", "a wildcard for the names below", with_names("*.{}"), MISMATCH),
        HostileServer("name-many", "300 other names", with_other_names(300), HEALTHY),
        HostileServer("name-more", "1000 other names", with_other_names(1000), TOO_LARGE),
        HostileServer("name-nul", "a name with a NUL", with_raw_name(DNS_NAME, b"{}\0.evil.test"), INVALID),
        HostileServer("name-latin", "a name in Latin-1", with_raw_name(DNS_NAME, b"b\xfccher.hostile.test"), INVALID),
        HostileServer(
            "name-utf8", "a name in UTF-8", with_raw_name(DNS_NAME, "bücher.hostile.test".encode()), MISMATCH
        ),
        HostileServer("name-empty", "the empty name", with_raw_name(DNS_NAME, b""), INVALID),
        HostileServer("name-dot", "a name with a final dot", with_raw_name(DNS_NAME, b"{}."), MISMATCH),
        HostileServer("name-short-ip", "an IP address of three bytes", with_raw_name(IP_ADDRESS, b"\x7f\0\1"), INVALID),
        HostileServer("name-markup", "markup in the names of subject and issuer", presents(bad.with_markup), HEALTHY),
    ),
)
