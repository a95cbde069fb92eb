"""The row of the server dashboard with the server's certificates and keys."""

from grafana.layout import Row, line
from grafana.panels import bar_gauge, instant_query, range_query, stat, time_series
from grafana.promql import min_by, pick_one, select_server, to_days, to_milliseconds
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.thresholds import Thresholds, renewal_state
from grafana.value_mappings import COUNT, DATE, DAYS_LEFT, RATIO, RENEWAL, TIME_LEFT, VALIDITY, Json

_NOT_AFTER = select_server("tls_cert_not_after_timestamp_seconds")
_NOT_BEFORE = select_server("tls_cert_not_before_timestamp_seconds")
_CHAIN_NOT_AFTER = select_server("tls_chain_not_after_timestamp_seconds")
_LIFETIME_LEFT = min_by(f"({_CHAIN_NOT_AFTER} - time()) / ({_NOT_AFTER} - {_NOT_BEFORE})", "connection")
_KEYS_VALID_UNTIL = select_server("signing_key_valid_until_timestamp_seconds")

CERTIFICATE_TIME_LEFT = min_by(f"{_CHAIN_NOT_AFTER} - time()", "connection")


def _certificates(thresholds: Thresholds) -> Json:
    dates = [
        ("not before", _NOT_BEFORE),
        ("not after", _NOT_AFTER),
        ("chain not after", _CHAIN_NOT_AFTER),
    ]
    return table(
        "Certificates",
        "The leaf certificate that expires first, for each connection, and the earliest expiry in the chain that "
        "verifies it, which decides when to renew. "
        f"The column renewal has the thresholds of the alerts: “renew soon” with less than {thresholds.renew_soon} "
        f"left, “renew now” with less than {thresholds.renew_now} left.",
        ("connection",),
        [
            ValueColumn("validity", min_by(select_server("tls_cert_valid"), "connection"), VALIDITY),
            ValueColumn(
                "renewal", renewal_state(_CHAIN_NOT_AFTER, _NOT_AFTER, _NOT_BEFORE, thresholds, "connection"), RENEWAL
            ),
            ValueColumn("expires in", CERTIFICATE_TIME_LEFT, TIME_LEFT),
            *(ValueColumn(title, to_milliseconds(min_by(selector, "connection")), DATE) for title, selector in dates),
            LabelColumns(
                ("issuer", "fingerprint_sha256"),
                pick_one(select_server("tls_cert_info"), "connection", "issuer", "fingerprint_sha256"),
            ),
            LabelColumns(("version",), pick_one(select_server("tls_version_info"), "connection", "version")),
        ],
        sort_by="connection",
        empty="no certificates",
    )


def _lifetime_left() -> Json:
    return bar_gauge(
        "Lifetime left",
        "Ratio of the remaining time to the certificate's lifetime: full when it is issued, empty when it expires.",
        RATIO.or_else("no certificates"),
        instant_query(_LIFETIME_LEFT, "{{connection}}"),
        names="top",
    )


def _time_left() -> Json:
    return time_series(
        "Days until certificates expire",
        "Time until the certificate or one of its issuers expires. A jump upwards is a renewal. Below zero, it has "
        "expired.",
        DAYS_LEFT.or_else("no certificates"),
        range_query(to_days(CERTIFICATE_TIME_LEFT), "{{connection}}"),
    )


def _signing_keys() -> list[Json]:
    return [
        stat(
            "Signing keys",
            "Valid ed25519 verify keys that the server publishes.",
            COUNT.or_else("none"),
            instant_query(f"min({select_server('signing_keys')})"),
        ),
        stat(
            "Keys expire in",
            "How long peers may cache the keys. “ago” means that the keys have expired and that peers refuse them.",
            TIME_LEFT.or_else("no keys"),
            instant_query(f"min({_KEYS_VALID_UNTIL}) - time()"),
        ),
    ]


def certificates_row(thresholds: Thresholds) -> Row:
    """Return the row with the certificates and keys of one server."""
    below = ((6, _lifetime_left()), (10, _time_left()), *((4, each) for each in _signing_keys()))
    return Row("Certificates and keys", (line(6, (24, _certificates(thresholds))), line(7, *below)))
