"""DNS: name servers, and whoever answers instead of them."""

from dns.rcode import Rcode

from exporter.demo.dns_server import fail_with
from exporter.demo.servers import HEALTHY, LabServer, federates
from exporter.demo.zone import DnsFault, Misbehaviour
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile import dns_replies
from tests.lab.hostile.rows import Problems, found

HOMESERVER = "192.0.2.1"
"""Where there is anything, it is here: nobody has to be reached for what is wrong with DNS."""
LONGEST_LABEL = "l" * 63
LONGEST_NAME = f"{LONGEST_LABEL}.{LONGEST_LABEL}.{LONGEST_LABEL}.{'l' * 61}"  # 255 bytes in a message


def everywhere(reason: Reason) -> Problems:
    """Neither the web server nor the homeserver is found."""
    return frozenset({(Stage.WELL_KNOWN, reason), (Stage.DNS, reason)})


def at_the_target(reason: Reason) -> Problems:
    return frozenset({(Stage.SRV, reason), (Stage.DNS, reason)})


ONLY_NO_ADDRESSES = found(Stage.DNS, Reason.NO_ADDRESSES)  # for the well-known, that is an answer
FAILURE, TIMEOUT = everywhere(Reason.DNS_FAILURE), everywhere(Reason.DNS_TIMEOUT)


def addresses(
    label: str, shows: str, fault: DnsFault | Misbehaviour, expected: Problems, kinds: tuple[str, ...] = ("A", "AAAA")
) -> LabServer:
    """The name's addresses are asked for, and what comes is `fault`."""
    host = f"{label}.hostile.test"
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {HOMESERVER}",
        places={f"{HOMESERVER}:8448": federates(host)} if expected == HEALTHY else {},
        expected=expected,
        dns_faults={(host, kind): fault for kind in kinds},
    )


def srv(label: str, shows: str, values: list[str], expected: Problems, zone: str = "") -> LabServer:
    """SRV records, and what they lead to."""
    host = f"{label}.hostile.test"
    records = "\n".join(f"_matrix-fed._tcp.{host} SRV {value}" for value in values)
    return LabServer(host, shows, Method.SRV_FED, f"{records}\n{zone}", expected=expected)


def no_srv(label: str, shows: str, fault: DnsFault, reason: Reason) -> LabServer:
    """The name itself is as it should be."""
    host = f"{label}.hostile.test"
    faults = {(f"_matrix-fed._tcp.{host}", "SRV"): fault}
    return LabServer(host, shows, Method.SRV_FED, expected=found(Stage.SRV, reason), dns_faults=faults)


DNS_SERVERS = (
    # ------------------------------------------------------------ no answer, or a bad one
    addresses("dns-silent", "no answer at all", DnsFault.DROP, TIMEOUT),
    addresses("dns-servfail", "SERVFAIL", DnsFault.SERVFAIL, FAILURE),
    addresses("dns-refused", "REFUSED", DnsFault.REFUSED, FAILURE),
    addresses("dns-formerr", "FORMERR", fail_with(Rcode.FORMERR), FAILURE),
    addresses("dns-notimp", "NOTIMP", fail_with(Rcode.NOTIMP), FAILURE),
    addresses("dns-empty", "datagrams of no bytes", dns_replies.empty, TIMEOUT),
    # ------------------------------------------------------------ over TCP
    addresses("dns-truncated", "answers that only fit into TCP", DnsFault.TRUNCATE, HEALTHY),
    addresses("dns-tcp-closed", "and there the connection is closed", DnsFault.TRUNCATE_AND_HANG_UP, FAILURE),
    addresses(
        "dns-tcp-silent",
        "and there nothing is said",
        dns_replies.only_over_tcp(DnsFault.DROP),
        TIMEOUT,
    ),
    addresses(
        "dns-tcp-garbage",
        "and there nonsense is said",
        dns_replies.only_over_tcp(DnsFault.GARBAGE),
        FAILURE,
    ),
    addresses(
        "dns-tcp-wrong-id",
        "and there somebody else's question is answered",
        dns_replies.only_over_tcp(DnsFault.WRONG_ID),
        FAILURE,
    ),
    addresses("dns-much-text", "30 KiB of text beside the address", dns_replies.with_much_text, HEALTHY),
    # ------------------------------------------------------------ nonsense that bears our id
    addresses("dns-garbage", "no DNS message", DnsFault.GARBAGE, FAILURE),
    addresses("dns-cut", "answers cut short", dns_replies.spoilt(lambda wire: wire[:-1]), FAILURE),
    addresses("dns-surplus", "bytes behind the answer", dns_replies.spoilt(lambda wire: wire + b"\0"), FAILURE),
    addresses("dns-echo", "our own question, sent back", dns_replies.with_header(dns_replies.FLAGS, 0x0100), FAILURE),
    addresses(
        "dns-no-question",
        "answers without the question",
        dns_replies.with_header(dns_replies.QUESTION_COUNT, 0),
        FAILURE,
    ),
    addresses(
        "dns-promises",
        "65,535 records, of which one is there",
        dns_replies.with_header(dns_replies.ANSWER_COUNT, 0xFFFF),
        FAILURE,
    ),
    addresses(
        "dns-short-address",
        "an address of three bytes",
        dns_replies.with_record(dns_replies.ASKED + dns_replies.ADDRESS_IN + b"\0\3\1\2\3"),
        FAILURE,
        kinds=("A",),
    ),
    addresses(
        "dns-pointer-loop",
        "a name that points to itself",
        dns_replies.with_record(b"\xff\xff" + dns_replies.ADDRESS_IN + b"\0\4\1\2\3\4"),
        FAILURE,
        kinds=("A", "AAAA"),
    ),
    addresses(
        "dns-long-name",
        "a name of 320 bytes",
        dns_replies.with_record((b"\x3f" + b"l" * 63) * 5 + b"\0" + dns_replies.ADDRESS_IN + b"\0\4\1\2\3\4"),
        FAILURE,
    ),
    addresses(
        "dns-chaos",
        "an address of another class than the Internet's",
        dns_replies.with_record(dns_replies.ASKED + dns_replies.ADDRESS_CHAOS + b"\0\4\1\2\3\4"),
        ONLY_NO_ADDRESSES,
    ),
    addresses("dns-denied", "an address of a name that does not exist", dns_replies.nowhere, FAILURE, kinds=("A",)),
    # ------------------------------------------------------------ of somebody else
    addresses("dns-wrong-id", "answers with another id", DnsFault.WRONG_ID, TIMEOUT),
    addresses("dns-wrong-question", "answers to another question", DnsFault.WRONG_QUESTION, TIMEOUT),
    addresses("dns-forged", "fifty forged answers, and no true one", dns_replies.forged, TIMEOUT),
    addresses("dns-forged-first", "fifty forged answers before the true one", dns_replies.forged_first, HEALTHY),
    addresses(
        "dns-stranger",
        "the address of another name",
        dns_replies.of_a_stranger,
        ONLY_NO_ADDRESSES,
    ),
    addresses(
        "dns-poison",
        "addresses of other names beside that of this one",
        dns_replies.beside_a_stranger,
        HEALTHY,
        kinds=("A",),
    ),
    addresses("dns-wrong-type", "text instead of an address", dns_replies.of_another_type, ONLY_NO_ADDRESSES),
    # ------------------------------------------------------------ aliases
    addresses("dns-alias-loop", "two aliases of each other", DnsFault.ALIAS_LOOP, FAILURE),
    addresses("dns-alias-self", "an alias of itself", dns_replies.aliases(0), FAILURE),
    addresses("dns-alias-chain", "forty aliases in a row", dns_replies.aliases(40), FAILURE),
    # ------------------------------------------------------------ one of both families
    addresses("dns-aaaa-servfail", "SERVFAIL for IPv6 only", DnsFault.SERVFAIL, HEALTHY, kinds=("AAAA",)),
    addresses("dns-aaaa-silent", "no answer for IPv6 only", DnsFault.DROP, HEALTHY, kinds=("AAAA",)),
    LabServer(
        "dns-many-addresses.hostile.test",
        "200 addresses, of which 16 are dialled",
        Method.DEFAULT_8448,
        "\n".join(f"dns-many-addresses.hostile.test AAAA 2001:db8::{last}" for last in range(1, 201)),
        expected=found(Stage.TCP, Reason.CONNECT_REFUSED),
    ),
    # ------------------------------------------------------------ SRV
    no_srv("srv-servfail", "SERVFAIL for SRV", DnsFault.SERVFAIL, Reason.DNS_FAILURE),
    no_srv("srv-silent", "no answer for SRV", DnsFault.DROP, Reason.DNS_TIMEOUT),
    srv(
        "srv-many",
        "40 SRV records, of which 16 are dialled",
        [f"10 5 {port} hs.srv-many.hostile.test." for port in range(8500, 8540)],
        found(Stage.TCP, Reason.CONNECT_REFUSED),
        zone="hs.srv-many.hostile.test A 192.0.2.2",
    ),
    srv(
        "srv-port-0",
        "an SRV record with port 0",
        ["10 5 0 hs.srv-port-0.hostile.test."],
        found(Stage.TCP, Reason.BLOCKED_ADDRESS),
        zone="hs.srv-port-0.hostile.test A 127.0.0.1",
    ),
    srv(
        "srv-long-target",
        "a target whose name is as long as DNS can hold",
        [f"10 5 8448 {LONGEST_NAME}."],
        at_the_target(Reason.NXDOMAIN),
    ),
    srv(
        "srv-odd-target",
        "a target with letters that no host name has",
        [r"10 5 8448 <b>\000\"\010\255.hostile.test."],
        at_the_target(Reason.NXDOMAIN),
    ),
    srv(
        "srv-address",
        "an address where the name of a target belongs",
        ["10 5 1 127.0.0.1."],
        found(Stage.TCP, Reason.BLOCKED_ADDRESS),
    ),
)
