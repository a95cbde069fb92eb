"""Servers that no request reaches, for reasons in DNS, TCP or TLS that `demo` does not show."""

from exporter.demo.broken import broken_port
from exporter.demo.servers import LabServer, federates
from exporter.demo.zone import SERVFAIL, DnsFault
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.certificates import FOR_CLIENTS, NOT_YET_VALID
from tests.lab.dns_faults import drop
from tests.lab.ports import have_no_route, listen, refuse_name, stall
from tests.lab.slow import FOR_HOURS, slow_down


def broken_dns(host: str, ip: str, shows: str, reason: Reason, fault: DnsFault) -> LabServer:
    """A server whose addresses cannot be looked up, neither for the web server nor for port 8448."""
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
        "a name without an address in DNS",
        Method.DEFAULT_8448,
        zone='no-address.lab.test TXT "nothing here"',
        expected=frozenset({(Stage.DNS, Reason.NO_ADDRESSES)}),
    ),
    LabServer(
        "dangling.lab.test",
        "a name that is an alias (CNAME) of a name that is gone",
        Method.DEFAULT_8448,
        zone="dangling.lab.test CNAME gone.lab.test.",
        expected=frozenset({(Stage.DNS, Reason.NXDOMAIN)}),
    ),
    broken_dns(
        "dns-silent.lab.test",
        "192.0.2.120",
        "DNS servers that do not reply",
        Reason.DNS_TIMEOUT,
        drop,
    ),
    broken_dns(
        "dns-servfail.lab.test",
        "192.0.2.121",
        "DNS servers that reply with an error",
        Reason.DNS_FAILURE,
        SERVFAIL,
    ),
    LabServer(
        "srv-none.lab.test",
        "an SRV record whose target is '.'",
        Method.SRV_FED,
        zone="_matrix-fed._tcp.srv-none.lab.test SRV 0 0 0 .",
        expected=frozenset({(Stage.SRV, Reason.SRV_SERVICE_UNAVAILABLE)}),
    ),
    LabServer(
        "srv-port-zero.lab.test",
        "an SRV record with port 0",
        Method.SRV_FED,
        zone="""
            _matrix-fed._tcp.srv-port-zero.lab.test SRV 10 5 0 hs.srv-port-zero.lab.test.
            hs.srv-port-zero.lab.test               A   192.0.2.129
        """,
        expected=frozenset({(Stage.SRV, Reason.SRV_PORT_ZERO)}),
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
    ),
    broken_port(
        "unreachable.lab.test",
        "192.0.2.122",
        "an address without a route to it",
        Reason.UNREACHABLE,
        have_no_route,
    ),
    broken_port(
        "name-refused.lab.test",
        "192.0.2.123",
        "a reverse proxy that does not know the server name, and refuses the TLS handshake",
        Reason.TLS_HANDSHAKE,
        listen(refuse_name),
    ),
    broken_port(
        "tls-silent.lab.test",
        "192.0.2.124",
        "a port that accepts connections and then stays silent",
        Reason.TLS_TIMEOUT,
        listen(stall),
    ),
    broken_port(
        "not-yet-valid.lab.test",
        "192.0.2.125",
        "a certificate that is not valid until tomorrow",
        Reason.CERTIFICATE_NOT_YET_VALID,
        federates("not-yet-valid.lab.test", NOT_YET_VALID),
    ),
    broken_port(
        "for-clients.lab.test",
        "192.0.2.126",
        "a certificate that is only for clients",
        Reason.CERTIFICATE_INVALID,
        federates("for-clients.lab.test", FOR_CLIENTS),
    ),
    LabServer(
        "all-silent.lab.test",
        "a web server and a homeserver that both take longer than the timeout of a probe",
        Method.DEFAULT_8448,
        zone="all-silent.lab.test A 192.0.2.127",
        ports={
            "192.0.2.127:443": listen(stall),
            "192.0.2.127:8448": federates("all-silent.lab.test", proxy=slow_down(FOR_HOURS)),
        },
        expected=frozenset(
            {
                (Stage.WELL_KNOWN, Reason.TLS_TIMEOUT),
                (Stage.VERSION, Reason.HTTP_TIMEOUT),
                (Stage.KEYS, Reason.TIMEOUT),
            }
        ),
    ),
)
