"""Servers that no request reaches, each for one reason that `demo` does not show: DNS, TCP and TLS."""

from exporter.demo.authority import CertificateState
from exporter.demo.broken import NO_IPV4, at_8448
from exporter.demo.ports import Fault
from exporter.demo.servers import LabServer, federates
from exporter.demo.zone import DnsFault
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason

HOURS = 4 * 3600.0  # in seconds: nobody waits so long


def unresolved(host: str, ip: str, shows: str, reason: Reason, fault: DnsFault) -> LabServer:
    """Neither the web server nor port 8448 is found, as the name's addresses cannot be looked up."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        expected=frozenset({(Stage.WELL_KNOWN, reason), (Stage.DNS, reason)}),
        dns_faults={(host, "A"): fault, (host, "AAAA"): fault},
    )


UNREACHABLE_SERVERS = (
    LabServer(
        "no-address.lab.test",
        "a name without any address",
        Method.DEFAULT_8448,
        zone='no-address.lab.test TXT "nothing here"',
        expected=frozenset({(Stage.DNS, Reason.NO_ADDRESSES)}),
    ),
    unresolved(
        "dns-silent.lab.test",
        "192.0.2.120",
        "name servers that do not answer",
        Reason.DNS_TIMEOUT,
        DnsFault.DROP,
    ),
    unresolved(
        "dns-servfail.lab.test",
        "192.0.2.121",
        "name servers that answer with an error",
        Reason.DNS_FAILURE,
        DnsFault.SERVFAIL,
    ),
    LabServer(
        "srv-none.lab.test",
        "an SRV record whose target is '.'",
        Method.SRV_FED,
        zone="_matrix-fed._tcp.srv-none.lab.test SRV 0 0 0 .",
        expected=frozenset({(Stage.SRV, Reason.SRV_SERVICE_UNAVAILABLE)}),
    ),
    LabServer(
        "srv-nowhere.lab.test",
        "an SRV record whose target does not exist",
        Method.SRV_FED,
        zone="_matrix-fed._tcp.srv-nowhere.lab.test SRV 10 5 8450 hs.srv-nowhere.lab.test.",
        expected=frozenset({(Stage.SRV, Reason.NXDOMAIN), (Stage.DNS, Reason.NXDOMAIN)}),
    ),
    LabServer(
        "srv-no-address.lab.test",
        "an SRV record whose target has no address",
        Method.SRV_FED,
        zone="""
            _matrix-fed._tcp.srv-no-address.lab.test SRV 10 5 8450 hs.srv-no-address.lab.test.
            hs.srv-no-address.lab.test               TXT "nothing here"
        """,
        expected=frozenset({(Stage.SRV, Reason.NO_ADDRESSES), (Stage.DNS, Reason.NO_ADDRESSES)}),
    ),
    LabServer(
        "loopback.lab.test",
        "a name whose address is not public",
        Method.DEFAULT_8448,
        zone="loopback.lab.test A 127.0.0.2",
        expected=frozenset({(Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS), (Stage.TCP, Reason.BLOCKED_ADDRESS)}),
        warnings=NO_IPV4,
    ),
    at_8448(
        "unreachable.lab.test",
        "192.0.2.122",
        "an address to which no route leads",
        Reason.UNREACHABLE,
        Fault.UNREACHABLE,
    ),
    at_8448(
        "name-refused.lab.test",
        "192.0.2.123",
        "a reverse proxy that does not know the name, and refuses TLS for it",
        Reason.TLS_HANDSHAKE,
        Fault.NAME_REFUSED,
    ),
    at_8448(
        "tls-silent.lab.test",
        "192.0.2.124",
        "a port that accepts connections and then says nothing",
        Reason.TLS_TIMEOUT,
        Fault.STALL,
    ),
    at_8448(
        "not-yet-valid.lab.test",
        "192.0.2.125",
        "a certificate that is not valid before tomorrow",
        Reason.CERTIFICATE_NOT_YET_VALID,
        federates("not-yet-valid.lab.test", CertificateState.NOT_YET_VALID),
    ),
    at_8448(
        "for-clients.lab.test",
        "192.0.2.126",
        "a certificate whose purpose is to name a client, and no server",
        Reason.CERTIFICATE_INVALID,
        federates("for-clients.lab.test", CertificateState.FOR_CLIENTS),
    ),
    LabServer(
        "all-silent.lab.test",
        "a web server and a homeserver that take longer than the whole probe may",
        Method.DEFAULT_8448,
        zone="all-silent.lab.test A 192.0.2.127",
        places={"192.0.2.127:443": Fault.STALL, "192.0.2.127:8448": federates("all-silent.lab.test")},
        expected=frozenset(
            {
                (Stage.WELL_KNOWN, Reason.TLS_TIMEOUT),
                (Stage.VERSION, Reason.HTTP_TIMEOUT),
                (Stage.KEYS, Reason.TIMEOUT),
            }
        ),
        warnings=NO_IPV4,
        delay=HOURS,
    ),
)
