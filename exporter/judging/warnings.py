"""What works, but will cause trouble. Every warning has a remedy, and one rule in `warning_rules`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from exporter.judging import warning_rules as rules
from exporter.model.enums import WithRemedy
from exporter.model.reasons import ON_WEB_SERVER
from exporter.model.report import Report


class WarningName(WithRemedy):
    """What works today, but will cause trouble. The list is closed, like the list of reasons.

    `MEMBER = ("word", "what is so of the server", "What to do.")`
    """

    meaning: str
    """What the warning says of a server, as a clause: "it publishes IPv4 addresses, and works over IPv6 only"."""

    def __new__(cls, word: str, meaning: str, remedy: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        member.remedy = remedy
        return member

    DELEGATION_LOST = (
        "delegation_lost",
        "it had a well-known delegation and has lost it, so peers stop reaching it as their caches expire",
        ON_WEB_SERVER + "serve /.well-known/matrix/server again. Peers that have cached it still connect, but fewer "
        "and fewer of them. The port that the others fall back to is not the cause.",
    )
    WORKS_FOR_SOME = (
        "works_for_some",
        "some homeservers get through to it, and others do not",
        "Users of some homeservers cannot talk to users of this server: repair what stops the homeservers that are "
        "named, even if the others get through.",
    )
    LEGACY_SRV_ONLY = (
        "legacy_srv_only",
        "its SRV records are under the old name _matrix._tcp only, which newer homeservers may not look up",
        "In your DNS zone, publish the same SRV records under _matrix-fed._tcp. Keep those under _matrix._tcp for "
        "peers that are older than version 1.8 of the specification.",
    )
    SRV_AND_WELL_KNOWN_DISAGREE = (
        "srv_and_well_known_disagree",
        "its SRV records and its well-known lead to different places, so peers that cannot read the well-known go "
        "astray",
        "Peers that cannot read the well-known follow the SRV records: in your DNS zone, point these to the target of "
        "the well-known, or delete them.",
    )
    WELL_KNOWN_SPLIT_BRAIN = (
        "well_known_split_brain",
        "not all addresses of its name serve the same well-known, so different peers go to different places",
        "Serve the same /.well-known/matrix/server at every address of the server name: find the web server that "
        "differs, or remove its A or AAAA record from DNS.",
    )
    WELL_KNOWN_ONE_FAMILY = (
        "well_known_one_family",
        "its well-known is there over only one of IPv4 and IPv6, so some peers do not find it",
        "Some peers use only one IP family, and those that have both try IPv6 first: let the web server of the server "
        "name, and every host that it redirects to, serve /.well-known/matrix/server over IPv4 and over IPv6 alike "
        "(A and AAAA records, listeners, certificates, firewall).",
    )
    WELL_KNOWN_LARGE = (
        "well_known_large",
        "its well-known is so large that some homeservers refuse it",
        ON_WEB_SERVER + "serve nothing but the delegation at /.well-known/matrix/server: some homeservers refuse large "
        "responses.",
    )
    WELL_KNOWN_NOT_200 = (
        "well_known_not_200",
        "its well-known comes with a status other than success, so some homeservers ignore it",
        ON_WEB_SERVER + "answer requests for /.well-known/matrix/server with status 200.",
    )
    WELL_KNOWN_INSECURE_REDIRECT = (
        "well_known_insecure_redirect",
        "its well-known redirects to a URL without TLS, where anyone on the path can change it",
        ON_WEB_SERVER + "redirect /.well-known/matrix/server to an https URL, or serve it without a redirect.",
    )
    WELL_KNOWN_CACHE_OUT_OF_BOUNDS = (
        "well_known_cache_out_of_bounds",
        "its well-known may be cached for a time that peers do not accept",
        ON_WEB_SERVER + "let /.well-known/matrix/server be cached for between 5 minutes and 48 hours (Cache-Control: "
        "max-age=86400): peers cache it for no less and no more.",
    )
    ADDRESS_LOOKUP_PARTIAL = (
        "address_lookup_partial",
        "its DNS servers answer for only one of A and AAAA, so peers wait or give up",
        "Peers wait for the missing answer, and give up or use the other IP family: make every DNS server of the zone "
        "answer queries for both A and AAAA, with no data where there is no such record. If all servers have this "
        "warning, the exporter's own resolver does not answer: check it, or name another one in network.resolvers.",
    )
    IPV4_BROKEN = (
        "ipv4_broken",
        "it publishes IPv4 addresses, and works over IPv6 only",
        "Peers that only have IPv4 cannot reach this server: repair the IPv4 endpoints, or remove their A records from "
        "DNS until they work.",
    )
    IPV6_BROKEN = (
        "ipv6_broken",
        "it publishes IPv6 addresses, and works over IPv4 only",
        "Peers that try IPv6 first are slow or fail: repair the IPv6 endpoints, or remove their AAAA records from DNS "
        "until they work.",
    )
    SOME_ENDPOINTS_BROKEN = (
        "some_endpoints_broken",
        "some of its endpoints are broken, so peers that choose one of them are slow or fail",
        "Peers that choose a broken endpoint are slow or fail: repair it, or remove its address or its SRV record from "
        "DNS.",
    )
    NO_FAILOVER = (
        "no_failover",
        "one of its addresses accepts connections and then fails, and peers do not try the next one",
        "Peers choose an address by its TCP connection alone, so some of them fail at the broken one: repair what "
        "answers there, stop it, or remove its A or AAAA record from DNS.",
    )
    TLS_VERSION_OLD = (
        "tls_version_old",
        "it offers only old versions of TLS, which many peers refuse",
        "Enable TLS 1.2 and 1.3 on the homeserver or its reverse proxy: many peers refuse anything older.",
    )
    TLS_CIPHER_OLD = (
        "tls_cipher_old",
        "it offers only old cipher suites of TLS, which some peers refuse",
        "Enable TLS 1.3 on the homeserver or its reverse proxy, or ECDHE cipher suites with AES-GCM or ChaCha20 in "
        "TLS 1.2 (Mozilla's intermediate configuration).",
    )
    HEADER_LINE_LONG = (
        "header_line_long",
        "one of its response headers is so long that Synapse drops the response",
        "Synapse drops the whole response: shorten the header on the web server or reverse proxy; often it is a "
        "Content-Security-Policy or a cookie, which peers do not need.",
    )
    KEY_VALIDITY_SHORT = (
        "key_validity_short",
        "its signing keys are valid for so short a time that peers fetch them over and over",
        "Peers have to fetch the keys over and over: configure the homeserver to publish them with a valid_until_ts "
        "at least an hour ahead (Synapse: key_refresh_interval), and check its clock.",
    )
    KEYS_DIFFER = (
        "keys_differ",
        "its endpoints publish different signing keys, so peers refuse some of its events",
        "Every endpoint must lead to the same homeserver with the same signing key file: find the one that does not, "
        "such as an old machine that is still in DNS.",
    )
    KEYS_CONTENT_TYPE = (
        "keys_content_type",
        "its signing keys come with a wrong Content-Type, so some homeservers refuse them",
        "The response to /_matrix/key/v2/server needs Content-Type: application/json. Check that the reverse proxy "
        "does not change the homeserver's header.",
    )
    OLD_KEY_INCONSISTENT = (
        "old_key_inconsistent",
        "its old signing keys contradict themselves, so peers cannot verify old events",
        "Correct the old keys in the homeserver's configuration (Synapse: old_signing_keys): each needs the key itself "
        "and the time at which it expired, in the past, and must no longer be in use.",
    )
    HOST_WITH_PORT_DIFFERS = (
        "host_with_port_differs",
        "it answers differently if Host contains the port, as some homeservers send it",
        "Some homeservers always send the port in Host: configure the reverse proxy to choose the same virtual host "
        "with and without it.",
    )
    INTERMEDIARY = (
        "intermediary",
        "something in front of it answers in its place or changes its answers",
        "Something in front of the homeserver or its web server answers in its place, or changes its answers: in the "
        "CDN, filter or reverse proxy that is named, exempt /_matrix and /.well-known/matrix from challenges, bot "
        "filters, rate limits and compression (Cloudflare: a rule that skips them for these paths, or DNS only). If "
        "a status is named, such as 421 or 525, the remedy of the stage says what else to do.",
    )
    OUTBOUND_BY_NOTARY_ONLY = (
        "outbound_by_notary_only",
        "it verifies signatures only with keys that another server fetched, so it may not reach others itself",
        "The homeserver verifies the exporter's signature with keys that another server fetched, so nothing shows that "
        "it reaches others itself: check the firewall for outgoing connections on its machine.",
    )
    OUTBOUND_IPV4_BROKEN = (
        "outbound_ipv4_broken",
        "it reaches others over IPv6 only",
        "The homeserver cannot connect to others over IPv4, and most of them have nothing else: on its machine or in "
        "its container, check the IPv4 address and route and the firewall for outgoing connections, or use NAT64.",
    )
    OUTBOUND_IPV6_BROKEN = (
        "outbound_ipv6_broken",
        "it reaches others over IPv4 only, although it publishes IPv6 addresses",
        "The homeserver cannot connect to others over IPv6, so it is slow where both families are published and never "
        "reaches servers that have nothing else: give its machine or container an IPv6 address with a route (Docker: "
        "`enable_ipv6` on the network), and check the firewall for outgoing connections and ICMPv6.",
    )
    NOTARY_DISAGREES = (
        "notary_disagrees",
        "another server got other signing keys for its name",
        "Another server got other keys for this name: restore the homeserver's signing key file if it was lost or "
        "replaced, use the same file on every machine in DNS, and check that the notary's network reaches this server.",
    )


@dataclass(frozen=True, slots=True)
class ActiveWarning:
    """A warning that applies to a report, and a sentence about what was found."""

    warning: WarningName
    detail: str


def warnings(report: Report, delegation_last_seen: datetime | None = None) -> tuple[ActiveWarning, ...]:
    """Return every warning that applies, in the order of the list.

    `delegation_last_seen` is when a valid well-known was last seen (UTC); None if never.
    """
    lost = (
        ActiveWarning(WarningName.DELEGATION_LOST, detail)
        for detail in rules.delegation_lost(report, delegation_last_seen)
    )
    others = (ActiveWarning(warning, detail) for warning, rule in RULES.items() for detail in rule(report))
    return (*lost, *others)


RULES = {
    WarningName.WORKS_FOR_SOME: rules.works_for_some,
    WarningName.LEGACY_SRV_ONLY: rules.legacy_srv_only,
    WarningName.SRV_AND_WELL_KNOWN_DISAGREE: rules.srv_and_well_known_disagree,
    WarningName.WELL_KNOWN_SPLIT_BRAIN: rules.well_known_split_brain,
    WarningName.WELL_KNOWN_ONE_FAMILY: rules.well_known_one_family,
    WarningName.WELL_KNOWN_LARGE: rules.well_known_large,
    WarningName.WELL_KNOWN_NOT_200: rules.well_known_not_200,
    WarningName.WELL_KNOWN_INSECURE_REDIRECT: rules.well_known_insecure_redirect,
    WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS: rules.well_known_cache_out_of_bounds,
    WarningName.ADDRESS_LOOKUP_PARTIAL: rules.address_lookup_partial,
    WarningName.IPV4_BROKEN: rules.ipv4_broken,
    WarningName.IPV6_BROKEN: rules.ipv6_broken,
    WarningName.SOME_ENDPOINTS_BROKEN: rules.some_endpoints_broken,
    WarningName.NO_FAILOVER: rules.no_failover,
    WarningName.TLS_VERSION_OLD: rules.tls_version_old,
    WarningName.TLS_CIPHER_OLD: rules.tls_cipher_old,
    WarningName.HEADER_LINE_LONG: rules.header_line_long,
    WarningName.KEY_VALIDITY_SHORT: rules.key_validity_short,
    WarningName.KEYS_DIFFER: rules.keys_differ,
    WarningName.KEYS_CONTENT_TYPE: rules.keys_content_type,
    WarningName.OLD_KEY_INCONSISTENT: rules.old_key_inconsistent,
    WarningName.HOST_WITH_PORT_DIFFERS: rules.host_with_port_differs,
    WarningName.INTERMEDIARY: rules.intermediary,
    WarningName.OUTBOUND_BY_NOTARY_ONLY: rules.outbound_by_notary_only,
    WarningName.OUTBOUND_IPV4_BROKEN: rules.outbound_ipv4_broken,
    WarningName.OUTBOUND_IPV6_BROKEN: rules.outbound_ipv6_broken,
    WarningName.NOTARY_DISAGREES: rules.notary_disagrees,
}
"""The rule of every warning but `delegation_lost`, which needs more than the report."""
