"""Certificates and signing keys of all servers: what expires next, and what does not verify."""

from grafana.dashboard import FIRING, OF_SERVERS, RESTARTED, Dashboard, exporters, servers
from grafana.layout import Section, evenly, line
from grafana.panels import bars, lines, now, over_time, stat
from grafana.promql import any_one, largest, milliseconds, number_of, of_servers, smallest
from grafana.tables import Labels, Value, table
from grafana.value_mappings import (
    COUNT,
    FEW_WANTED,
    INSTANT,
    NONE_WANTED,
    RENEW_NOW,
    RENEW_SOON,
    RENEWAL,
    TIME_LEFT,
    VALIDITY,
    Json,
)

KEY = ("server_name", "connection")
NOT_AFTER = of_servers("tls_cert_not_after_timestamp_seconds")
NOT_BEFORE = of_servers("tls_cert_not_before_timestamp_seconds")
LEFT = smallest(f"{NOT_AFTER} - time()", *KEY)
SHARE_LEFT = smallest(f"({NOT_AFTER} - time()) / ({NOT_AFTER} - {NOT_BEFORE})", *KEY)
VALID = smallest(of_servers("tls_cert_valid"), *KEY)
INFO = of_servers("tls_cert_info")
ISSUERS = largest(INFO, *KEY, "issuer")
TLS_VERSIONS = largest(of_servers("tls_version_info"), *KEY, "version")
KEYS_LEFT = smallest(f"{of_servers('signing_key_valid_until_timestamp_seconds')} - time()")

DAY = 86400
BANDS = (
    ("expired", None, 0),
    ("within 2 days", 0, 2),
    ("2 to 7 days", 2, 7),
    ("7 to 14 days", 7, 14),
    ("14 to 30 days", 14, 30),
    ("30 to 90 days", 30, 90),
    ("after 90 days", 90, None),
)
"""In days from now: from the first number on, and before the second."""

# ---------------------------------------------------------------- now


def at_a_glance() -> list[Json]:
    return [
        stat(
            "Certificates",
            "Of both connections: https to the server name where a well-known is asked for, and the endpoints.",
            COUNT,
            now(number_of(LEFT)),
        ),
        stat("Expired", "Peers refuse these connections.", NONE_WANTED, now(number_of(f"{LEFT} < 0"))),
        stat(
            "Renew now",
            "Less than 8 % of the lifetime is left: renewal has failed for long.",
            NONE_WANTED,
            now(number_of(f"({SHARE_LEFT} >= 0) < {RENEW_NOW}")),
        ),
        stat(
            "Renew soon",
            "Less than a fifth of the lifetime is left: renewal, which is usual at a third, is late.",
            FEW_WANTED,
            now(number_of(f"({SHARE_LEFT} >= {RENEW_NOW}) < {RENEW_SOON}")),
        ),
        stat(
            "Do not verify",
            "Chain, name or dates are wrong; expired ones are among them.",
            NONE_WANTED,
            now(number_of(f"{VALID} == 0")),
        ),
        stat(
            "Keys past their time",
            "Servers whose published signing keys ought not to be used any more.",
            NONE_WANTED,
            now(number_of(f"{KEYS_LEFT} < 0")),
        ),
    ]


# ---------------------------------------------------------------- what there is


def expiries() -> Json:
    return bars(
        "When certificates expire",
        "How many, by the time that is left.",
        COUNT,
        *(now(number_of(within(first, last)), title) for title, first, last in BANDS),
    )


def within(first: int | None, last: int | None) -> str:
    """`LEFT`, from `first` days on, and before `last`: there may be no bound."""
    from_first = LEFT if first is None else f"({LEFT} >= {first * DAY})"
    return from_first if last is None else f"{from_first} < {last * DAY}"


def issuers() -> Json:
    return bars(
        "Issuers",
        "Certificates by who issued them, the 20 most frequent.",
        COUNT,
        now(f"sort_desc(topk(20, count by (issuer) ({ISSUERS})))", "{{issuer}}"),
    )


def tls_versions() -> Json:
    return bars(
        "TLS versions",
        "Connections by the version that was negotiated.",
        COUNT,
        now(f"sort_desc(count by (connection, version) ({TLS_VERSIONS}))", "{{connection}}: {{version}}"),
    )


# ---------------------------------------------------------------- every one


def all_certificates() -> Json:
    details = ("issuer", "fingerprint_sha256")
    return table(
        "Certificates by time left",
        "The leaf that expires first, for each server and connection. Renewal is judged by the share of the lifetime "
        "that is left, so that certificates for a week and for a year are measured alike.",
        KEY,
        [
            Value("renewal", SHARE_LEFT, RENEWAL),
            Value("expires in", LEFT, TIME_LEFT),
            Value("not after", milliseconds(smallest(NOT_AFTER, *KEY)), INSTANT),
            Value(
                "chain not after",
                milliseconds(smallest(of_servers("tls_chain_not_after_timestamp_seconds"), *KEY)),
                INSTANT,
            ),
            Value("verifies", VALID, VALIDITY),
            Labels(details, any_one(INFO, ", ".join(KEY), *details)),
        ],
        sort="expires in",
    )


def invalid_certificates() -> Json:
    return table(
        "Certificates that do not verify",
        "Chain, name or dates are wrong. The reasons are on the page of the server.",
        KEY,
        [
            Value("verifies", f"{VALID} == 0", VALIDITY),
            Value("expires in", f"{LEFT} and on (server_name, connection) ({VALID} == 0)", TIME_LEFT),
        ],
        sort="server_name",
    )


def first_to_expire() -> Json:
    return lines(
        "The ten that expire first",
        "Every jump upwards is a renewal. Below zero it has expired.",
        TIME_LEFT,
        over_time(f"bottomk(10, {LEFT})", "{{server_name}} {{connection}}"),
    )


def signing_keys() -> Json:
    until = smallest(of_servers("signing_key_valid_until_timestamp_seconds"))
    return table(
        "Signing keys",
        "Valid ed25519 verify keys, and until when peers may keep them without asking again. Most servers announce a "
        "day or two, always anew: a date in the past is a fault.",
        ("server_name",),
        [
            Value("keys", smallest(of_servers("signing_keys")), COUNT),
            Value("may be kept for", KEYS_LEFT, TIME_LEFT),
            Value("valid until", milliseconds(until), INSTANT),
        ],
        sort="may be kept for",
    )


def certificates() -> Dashboard:
    return Dashboard(
        "mxfed-certs",
        "Certificates and keys",
        "Certificates and signing keys of all servers: what expires next, and what does not verify.",
        (*exporters(OF_SERVERS), servers()),
        (RESTARTED, FIRING),
        (
            Section("Now", (evenly(4, *at_a_glance()), evenly(9, expiries(), issuers(), tls_versions()))),
            Section(
                "Certificates",
                (line(14, (24, all_certificates())), evenly(9, invalid_certificates(), first_to_expire())),
            ),
            Section("Signing keys", (line(10, (24, signing_keys())),)),
        ),
    )
