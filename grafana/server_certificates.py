"""One server: its certificates and keys."""

from grafana.layout import Section, line
from grafana.panels import bars, lines, now, over_time, stat
from grafana.promql import any_one, milliseconds, of_server, smallest
from grafana.tables import Labels, Value, table
from grafana.value_mappings import COUNT, INSTANT, LIFETIME_SHARE, RENEWAL, TIME_LEFT, VALIDITY, Json

NOT_AFTER = of_server("tls_cert_not_after_timestamp_seconds")
NOT_BEFORE = of_server("tls_cert_not_before_timestamp_seconds")
CHAIN_NOT_AFTER = of_server("tls_chain_not_after_timestamp_seconds")
LEFT = smallest(f"{NOT_AFTER} - time()", "connection")
SHARE_LEFT = smallest(f"({NOT_AFTER} - time()) / ({NOT_AFTER} - {NOT_BEFORE})", "connection")
VALID_UNTIL = of_server("signing_key_valid_until_timestamp_seconds")


def certificates() -> Json:
    dates = [
        ("not before", NOT_BEFORE),
        ("not after", NOT_AFTER),
        ("chain not after", CHAIN_NOT_AFTER),
    ]
    return table(
        "Certificates",
        "For each connection the leaf that expires first, and the earliest expiry in the chains as presented. Renewal "
        "is judged by the share of the lifetime that is left: below a fifth is soon, below 8 % is now.",
        ("connection",),
        [
            Value("verifies", smallest(of_server("tls_cert_valid"), "connection"), VALIDITY),
            Value("renewal", SHARE_LEFT, RENEWAL),
            Value("expires in", LEFT, TIME_LEFT),
            *(Value(title, milliseconds(smallest(selected, "connection")), INSTANT) for title, selected in dates),
            Labels(
                ("issuer", "fingerprint_sha256"),
                any_one(of_server("tls_cert_info"), "connection", "issuer", "fingerprint_sha256"),
            ),
            Labels(("version",), any_one(of_server("tls_version_info"), "connection", "version")),
        ],
        sort="connection",
    )


def lifetimes() -> Json:
    return bars(
        "Lifetime left",
        "Share of each certificate's lifetime: full on the day of issue, empty at expiry.",
        LIFETIME_SHARE,
        now(SHARE_LEFT, "{{connection}}"),
    )


def expiry_over_time() -> Json:
    return lines(
        "Time left of certificates",
        "A saw: every jump upwards is a renewal. Below zero it has expired.",
        TIME_LEFT,
        over_time(LEFT, "{{connection}}"),
    )


def keys() -> list[Json]:
    return [
        stat(
            "Signing keys",
            "Valid ed25519 verify keys that the server publishes.",
            COUNT,
            now(f"min({of_server('signing_keys')})"),
        ),
        stat(
            "Signing keys may be kept for",
            "Until then peers need not ask again; “ago” where the time has passed, and peers refuse the keys.",
            TIME_LEFT,
            now(f"min({VALID_UNTIL}) - time()"),
        ),
    ]


def certificates_and_keys() -> Section:
    below = ((6, lifetimes()), (10, expiry_over_time()), *((4, each) for each in keys()))
    return Section("Certificates and keys", (line(6, (24, certificates())), line(7, *below)))
