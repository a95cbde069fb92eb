"""DNS: name servers that fail, and others that reply in their place."""

from dns.rcode import Rcode

from exporter.demo.servers import HEALTHY, LabServer, federates
from exporter.demo.zone import SERVFAIL, DnsFault, fail_with
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab import dns_faults
from tests.lab.hostile import dns_replies
from tests.lab.hostile.rows import Problems, found

HOMESERVER = "192.0.2.1"
"""The address of every homeserver in this table: most probes fail before they connect."""
LONGEST_LABEL = "l" * 63
LONGEST_NAME = f"{LONGEST_LABEL}.{LONGEST_LABEL}.{LONGEST_LABEL}.{'l' * 61}"  # 255 bytes in a message


def everywhere(reason: Reason) -> Problems:
    """Neither the web server nor the homeserver is found."""
    return frozenset({(Stage.WELL_KNOWN, reason), (Stage.DNS, reason)})


def at_the_target(reason: Reason) -> Problems:
    return frozenset({(Stage.SRV, reason), (Stage.DNS, reason)})


ONLY_NO_ADDRESSES = found(Stage.DNS, Reason.NO_ADDRESSES)  # the well-known is then absent, which is no problem
FAILURE, TIMEOUT = everywhere(Reason.DNS_FAILURE), everywhere(Reason.DNS_TIMEOUT)


def addresses(
    label: str, shows: str, fault: DnsFault, expected: Problems, rdtypes: tuple[str, ...] = ("A", "AAAA")
) -> LabServer:
    """A server whose addresses are looked up with this fault."""
    host = f"{label}.hostile.test"
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {HOMESERVER}",
        ports={f"{HOMESERVER}:8448": federates(host)} if expected == HEALTHY else {},
        expected=expected,
        dns_faults={(host, rdtype): fault for rdtype in rdtypes},
    )


def srv(label: str, shows: str, values: list[str], expected: Problems, zone: str = "") -> LabServer:
    """A server with these SRV records, and the records of their targets."""
    host = f"{label}.hostile.test"
    records = "\n".join(f"_matrix-fed._tcp.{host} SRV {value}" for value in values)
    return LabServer(host, shows, Method.SRV_FED, f"{records}\n{zone}", expected=expected)


def failed_srv(label: str, shows: str, fault: DnsFault, reason: Reason) -> LabServer:
    """A server whose SRV records are looked up with this fault."""
    host = f"{label}.hostile.test"
    faults = {(f"_matrix-fed._tcp.{host}", "SRV"): fault}
    return LabServer(host, shows, Method.SRV_FED, expected=found(Stage.SRV, reason), dns_faults=faults)


DNS_SERVERS = (
    # ------------------------------------------------------------ no reply, or an error
    addresses("dns-silent", "no reply at all", dns_faults.drop, TIMEOUT),
    addresses("dns-servfail", "SERVFAIL", SERVFAIL, FAILURE),
    addresses("dns-refused", "REFUSED", dns_faults.REFUSED, FAILURE),
    addresses("dns-formerr", "FORMERR", fail_with(Rcode.FORMERR), FAILURE),
    addresses("dns-notimp", "NOTIMP", fail_with(Rcode.NOTIMP), FAILURE),
    addresses("dns-empty", "empty datagrams", dns_replies.send_empty_datagram, TIMEOUT),
    # ------------------------------------------------------------ over TCP
    addresses("dns-truncated", "replies that only fit into TCP", dns_faults.truncate, HEALTHY),
    addresses("dns-tcp-closed", "TCP connections that are closed", dns_faults.truncate_and_hang_up, FAILURE),
    addresses(
        "dns-tcp-silent",
        "no reply over TCP",
        dns_replies.only_over_tcp(dns_faults.drop),
        TIMEOUT,
    ),
    addresses(
        "dns-tcp-garbage",
        "nonsense over TCP",
        dns_replies.only_over_tcp(dns_faults.send_garbage),
        FAILURE,
    ),
    addresses(
        "dns-tcp-wrong-id",
        "replies to another query over TCP",
        dns_replies.only_over_tcp(dns_faults.send_wrong_id),
        FAILURE,
    ),
    addresses("dns-much-text", "30 KiB of text beside the address", dns_replies.add_much_text, HEALTHY),
    # ------------------------------------------------------------ malformed replies with the right ID
    addresses("dns-garbage", "no DNS message", dns_faults.send_garbage, FAILURE),
    addresses("dns-cut", "replies without their last byte", dns_replies.change_bytes(lambda wire: wire[:-1]), FAILURE),
    addresses("dns-surplus", "bytes after the reply", dns_replies.change_bytes(lambda wire: wire + b"\0"), FAILURE),
    addresses("dns-echo", "the query sent back", dns_replies.set_header(dns_replies.FLAGS, 0x0100), FAILURE),
    addresses(
        "dns-no-question",
        "replies without the question",
        dns_replies.set_header(dns_replies.QUESTION_COUNT, 0),
        FAILURE,
    ),
    addresses(
        "dns-promises",
        "65,535 records announced, and one sent",
        dns_replies.set_header(dns_replies.ANSWER_COUNT, 0xFFFF),
        FAILURE,
    ),
    addresses(
        "dns-short-address",
        "an address of three bytes",
        dns_replies.send_record(dns_replies.QUESTION_NAME + dns_replies.ADDRESS_IN + b"\0\3\1\2\3"),
        FAILURE,
        rdtypes=("A",),
    ),
    addresses(
        "dns-pointer-loop",
        "a name that points to itself",
        dns_replies.send_record(b"\xff\xff" + dns_replies.ADDRESS_IN + b"\0\4\1\2\3\4"),
        FAILURE,
        rdtypes=("A", "AAAA"),
    ),
    addresses(
        "dns-long-name",
        "a name of 320 bytes",
        dns_replies.send_record((b"\x3f" + b"l" * 63) * 5 + b"\0" + dns_replies.ADDRESS_IN + b"\0\4\1\2\3\4"),
        FAILURE,
    ),
    addresses(
        "dns-chaos",
        "an address of another class than IN",
        dns_replies.send_record(dns_replies.QUESTION_NAME + dns_replies.ADDRESS_CHAOS + b"\0\4\1\2\3\4"),
        ONLY_NO_ADDRESSES,
    ),
    addresses("dns-denied", "an address of a name that does not exist", dns_replies.deny, FAILURE, rdtypes=("A",)),
    # ------------------------------------------------------------ replies to another query
    addresses("dns-wrong-id", "replies with another ID", dns_faults.send_wrong_id, TIMEOUT),
    addresses("dns-wrong-question", "replies to another question", dns_faults.send_wrong_question, TIMEOUT),
    addresses("dns-forged", "fifty forged replies, and no true one", dns_replies.send_forgeries, TIMEOUT),
    addresses(
        "dns-forged-first", "fifty forged replies before the true one", dns_replies.send_forgeries_first, HEALTHY
    ),
    addresses(
        "dns-stranger",
        "the address of another name",
        dns_replies.send_other_name,
        ONLY_NO_ADDRESSES,
    ),
    addresses(
        "dns-poison",
        "addresses of other names beside the right one",
        dns_replies.poison,
        HEALTHY,
        rdtypes=("A",),
    ),
    addresses("dns-wrong-type", "text instead of an address", dns_replies.send_other_type, ONLY_NO_ADDRESSES),
    # ------------------------------------------------------------ aliases
    addresses("dns-alias-loop", "two aliases of each other", dns_faults.send_alias_loop, FAILURE),
    addresses("dns-alias-self", "an alias of itself", dns_replies.send_aliases(0), FAILURE),
    addresses("dns-alias-chain", "forty aliases in a row", dns_replies.send_aliases(40), FAILURE),
    # ------------------------------------------------------------ one of the two address families
    addresses("dns-aaaa-servfail", "SERVFAIL for IPv6 only", SERVFAIL, HEALTHY, rdtypes=("AAAA",)),
    addresses("dns-aaaa-silent", "no reply for IPv6 only", dns_faults.drop, HEALTHY, rdtypes=("AAAA",)),
    LabServer(
        "dns-many-addresses.hostile.test",
        "200 addresses, 24 of which are dialled",
        Method.DEFAULT_8448,
        "\n".join(f"dns-many-addresses.hostile.test AAAA 2001:db8::{last}" for last in range(1, 201)),
        expected=found(Stage.TCP, Reason.CONNECT_REFUSED),
    ),
    # ------------------------------------------------------------ SRV
    failed_srv("srv-servfail", "SERVFAIL for SRV", SERVFAIL, Reason.DNS_FAILURE),
    failed_srv("srv-silent", "no reply for SRV", dns_faults.drop, Reason.DNS_TIMEOUT),
    failed_srv(
        "srv-pointers",
        "SRV records with the longest names, compressed as much as possible",
        dns_replies.only_over_tcp(dns_replies.send_chained_pointers),
        Reason.DNS_FAILURE,
    ),
    srv(
        "srv-many",
        "40 SRV records for ports of one address, four of which are dialled",
        [f"10 5 {port} hs.srv-many.hostile.test." for port in range(8500, 8540)],
        found(Stage.TCP, Reason.CONNECT_REFUSED),
        zone="hs.srv-many.hostile.test A 192.0.2.2",
    ),
    srv(
        "srv-port-0",
        "an SRV record with port 0",
        ["10 5 0 hs.srv-port-0.hostile.test."],
        found(Stage.SRV, Reason.SRV_PORT_ZERO),
        zone="hs.srv-port-0.hostile.test A 127.0.0.1",
    ),
    srv(
        "srv-long-target",
        "a target with the longest name that DNS allows",
        [f"10 5 8448 {LONGEST_NAME}."],
        at_the_target(Reason.NXDOMAIN),
    ),
    srv(
        "srv-odd-target",
        "a target with characters that no host name has",
        [r"10 5 8448 <b>\000\"\010\255.hostile.test."],
        at_the_target(Reason.NXDOMAIN),
    ),
    srv(
        "srv-address",
        "an IP address in place of a target's name",
        ["10 5 1 127.0.0.1."],
        found(Stage.TCP, Reason.BLOCKED_ADDRESS),
    ),
)
