"""The broken servers that `demo` shows, each broken in one way."""

from exporter.demo.authority import CertificateState
from exporter.demo.homeserver import VERSION, KeyFault
from exporter.demo.https_server import WELL_KNOWN
from exporter.demo.ports import Fault
from exporter.demo.servers import LabServer, Place, Website, federates
from exporter.demo.zone import DnsFault
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.reverse_proxy import WELCOME

_BELOW_TLS = (Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)
NO_IPV4 = frozenset({WarningName.IPV4_BROKEN})


def at_8448(host: str, ip: str, shows: str, reason: Reason, place: Place) -> LabServer:
    """No delegation, and at port 8448 what is broken below HTTP."""
    stage = Stage.TCP if reason in _BELOW_TLS else Stage.TLS
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        places={f"{ip}:8448": place},
        expected=frozenset({(stage, reason)}),
        warnings=NO_IPV4,
    )


def keys_broken(host: str, ip: str, shows: str, reason: Reason, fault: KeyFault) -> LabServer:
    """No delegation, and a homeserver whose keys are broken."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        places={f"{ip}:8448": federates(host)},
        expected=frozenset({(Stage.KEYS, reason)}),
        warnings=NO_IPV4,
        key_fault=fault,
    )


BROKEN_SERVERS = (
    at_8448(
        "expired.lab.test",
        "192.0.2.101",
        "a certificate that expired yesterday",
        Reason.CERTIFICATE_EXPIRED,
        federates("expired.lab.test", CertificateState.EXPIRED),
    ),
    at_8448(
        "wrong-name.lab.test",
        "192.0.2.102",
        "a certificate for another name",
        Reason.CERTIFICATE_NAME_MISMATCH,
        federates("wrong-name.lab.test", CertificateState.WRONG_NAME),
    ),
    at_8448(
        "untrusted.lab.test",
        "192.0.2.103",
        "a certificate of an authority that nobody trusts",
        Reason.CERTIFICATE_UNTRUSTED,
        federates("untrusted.lab.test", CertificateState.UNTRUSTED),
    ),
    at_8448(
        "incomplete-chain.lab.test",
        "192.0.2.104",
        "a certificate sent without the intermediate that signed it",
        Reason.CERTIFICATE_INCOMPLETE_CHAIN,
        federates("incomplete-chain.lab.test", CertificateState.INCOMPLETE_CHAIN),
    ),
    at_8448(
        "refused.lab.test",
        "192.0.2.105",
        "nothing listens at port 8448",
        Reason.CONNECT_REFUSED,
        Fault.CONNECTION_REFUSED,
    ),
    at_8448(
        "black-hole.lab.test",
        "192.0.2.106",
        "a firewall that drops everything to port 8448",
        Reason.CONNECT_TIMEOUT,
        Fault.BLACK_HOLE,
    ),
    at_8448(
        "plain-http.lab.test",
        "192.0.2.107",
        "plain http at the port where TLS is expected",
        Reason.NOT_TLS,
        Fault.PLAIN_HTTP,
    ),
    keys_broken(
        "bad-signature.lab.test",
        "192.0.2.108",
        "signing keys that are signed by another key",
        Reason.SIGNATURE_INVALID,
        KeyFault.BAD_SIGNATURE,
    ),
    keys_broken(
        "expired-keys.lab.test",
        "192.0.2.109",
        "signing keys that ceased to be valid an hour ago",
        Reason.KEY_EXPIRED,
        KeyFault.EXPIRED,
    ),
    keys_broken(
        "other-keys.lab.test",
        "192.0.2.110",
        "the signing keys of another server",
        Reason.SERVER_NAME_MISMATCH,
        KeyFault.OTHER_SERVER_NAME,
    ),
    LabServer(
        "no-version.lab.test",
        "a homeserver that does not know the version endpoint",
        Method.DEFAULT_8448,
        zone="no-version.lab.test A 192.0.2.111",
        places={"192.0.2.111:8448": federates("no-version.lab.test")},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_STATUS)}),
        warnings=NO_IPV4,
        missing=(VERSION,),
    ),
    LabServer(
        "well-known-html.lab.test",
        "a web page where the well-known should be, and nothing at port 8448, to which peers fall back",
        Method.DEFAULT_8448,
        zone="well-known-html.lab.test A 192.0.2.112",
        places={"192.0.2.112:443": Website("well-known-html.lab.test", {WELL_KNOWN: WELCOME})},
        expected=frozenset({(Stage.WELL_KNOWN, Reason.NOT_JSON), (Stage.TCP, Reason.CONNECT_REFUSED)}),
        warnings=NO_IPV4,
    ),
    LabServer(
        "srv-alias.lab.test",
        "an SRV record whose target is an alias (CNAME)",
        Method.SRV_FED,
        zone="""
            _matrix-fed._tcp.srv-alias.lab.test SRV   10 5 8450 alias.srv-alias.lab.test.
            alias.srv-alias.lab.test            CNAME hs.srv-alias.lab.test.
            hs.srv-alias.lab.test               A     198.51.100.113
        """,
        places={"198.51.100.113:8450": federates("srv-alias.lab.test")},
        expected=frozenset({(Stage.SRV, Reason.SRV_TARGET_ALIAS)}),
    ),
    LabServer(
        "srv-servfail.lab.test",
        "name servers that fail when asked for SRV: peers give up, although port 8448 would work",
        Method.SRV_FED,
        zone="srv-servfail.lab.test A 192.0.2.114",
        places={"192.0.2.114:8448": federates("srv-servfail.lab.test")},
        expected=frozenset({(Stage.SRV, Reason.DNS_FAILURE)}),
        dns_faults={
            ("_matrix-fed._tcp.srv-servfail.lab.test", "SRV"): DnsFault.SERVFAIL,
            ("_matrix._tcp.srv-servfail.lab.test", "SRV"): DnsFault.SERVFAIL,
        },
    ),
    LabServer(
        "nxdomain.lab.test",
        "a name that does not exist",
        Method.DEFAULT_8448,
        expected=frozenset({(Stage.DNS, Reason.NXDOMAIN)}),
    ),
)
