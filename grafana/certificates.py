"""The dashboard of certificates and signing keys: which ones expire next, and which ones are invalid."""

from grafana.dashboard import EXPORTER_RESTARTS, FIRING_ALERTS, Dashboard, servers_variables
from grafana.layout import Row, even_line, line
from grafana.panels import bar_gauge, instant_query, range_query, stat, time_series
from grafana.promql import count_or_zero, max_by, min_by, pick_one, select_servers, to_days, to_milliseconds
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.thresholds import RenewalState, Thresholds, renewal_state
from grafana.value_mappings import (
    COUNT,
    DATE,
    DAYS_LEFT,
    FAILURE_COUNT,
    RENEWAL,
    TIME_LEFT,
    VALIDITY,
    WARNING_COUNT,
    Json,
)

_KEYS = ("server_name", "connection")
_NOT_AFTER = select_servers("tls_cert_not_after_timestamp_seconds")
_NOT_BEFORE = select_servers("tls_cert_not_before_timestamp_seconds")
_CHAIN_NOT_AFTER = select_servers("tls_chain_not_after_timestamp_seconds")
_TIME_LEFT = min_by(f"{_CHAIN_NOT_AFTER} - time()", *_KEYS)
_VALID = min_by(select_servers("tls_cert_valid"), *_KEYS)
_CERTIFICATES = select_servers("tls_cert_info")
_ISSUERS = max_by(_CERTIFICATES, *_KEYS, "issuer")
_TLS_VERSIONS = max_by(select_servers("tls_version_info"), *_KEYS, "version")
_KEYS_TIME_LEFT = min_by(f"{select_servers('signing_key_valid_until_timestamp_seconds')} - time()")

_DAY = 86400
_EXPIRY_BUCKETS = (
    ("expired", None, 0),
    ("0 to 2 days", 0, 2),
    ("2 to 7 days", 2, 7),
    ("7 to 14 days", 7, 14),
    ("14 to 30 days", 14, 30),
    ("30 to 90 days", 30, 90),
    ("90 days or more", 90, None),
)
"""Each with its bounds in days from now. The lower bound is included, the upper one is not."""

# ---------------------------------------------------------------- status


def _status(thresholds: Thresholds) -> list[Json]:
    renewal = f"({renewal_state(_CHAIN_NOT_AFTER, _NOT_AFTER, _NOT_BEFORE, thresholds, *_KEYS)})"
    return [
        stat(
            "Certificates",
            "Certificates of both connections: well_known is HTTPS to the server name, federation is an endpoint.",
            COUNT,
            instant_query(count_or_zero(_TIME_LEFT)),
        ),
        stat(
            "Expired",
            "Expired certificates. Peers refuse these connections.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{renewal} == {RenewalState.EXPIRED}")),
        ),
        stat(
            "Renew now",
            f"Certificates with less than {thresholds.renew_now} left. Renewal has been failing for a long time.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{renewal} == {RenewalState.RENEW_NOW}")),
        ),
        stat(
            "Renew soon",
            f"Certificates with less than {thresholds.renew_soon} left. Automatic renewal should have happened: ACME "
            "clients usually renew when a third of the lifetime is left.",
            WARNING_COUNT,
            instant_query(count_or_zero(f"{renewal} == {RenewalState.RENEW_SOON}")),
        ),
        stat(
            "Invalid",
            "Certificates with an invalid chain, name or date, including expired ones.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{_VALID} == 0")),
        ),
        stat(
            "Expired signing keys",
            "Servers that publish signing keys whose validity has ended.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{_KEYS_TIME_LEFT} < 0")),
        ),
    ]


def _expiry_histogram() -> Json:
    return bar_gauge(
        "Certificates by time left",
        "Number of certificates by the time until they expire.",
        COUNT,
        *(instant_query(count_or_zero(_expiring_between(low, high)), title) for title, low, high in _EXPIRY_BUCKETS),
    )


def _expiring_between(low: int | None, high: int | None) -> str:
    """Return PromQL for the certificates that expire in at least `low` and less than `high` days."""
    from_low = _TIME_LEFT if low is None else f"({_TIME_LEFT} >= {low * _DAY})"
    return from_low if high is None else f"{from_low} < {high * _DAY}"


def _issuers() -> Json:
    return bar_gauge(
        "Issuers",
        "Number of certificates by issuer, for the 20 most frequent ones.",
        COUNT.or_else("no certificates"),
        instant_query(f"sort_desc(topk(20, count by (issuer) ({_ISSUERS})))", "{{issuer}}"),
    )


def _tls_versions() -> Json:
    return bar_gauge(
        "TLS versions",
        "Number of connections by negotiated TLS version.",
        COUNT.or_else("no connections"),
        instant_query(f"sort_desc(count by (version) ({_TLS_VERSIONS}))", "{{version}}"),
    )


# ---------------------------------------------------------------- certificates


def _all_certificates(thresholds: Thresholds) -> Json:
    details = ("issuer", "fingerprint_sha256")
    return table(
        "All certificates",
        "The leaf certificate that expires first, for each server and connection. It expires with the first of its "
        "issuers, if that is earlier. The column renewal has the "
        "thresholds of the alerts: they depend on the lifetime, so they suit certificates of a week and of a year.",
        _KEYS,
        [
            ValueColumn(
                "renewal", renewal_state(_CHAIN_NOT_AFTER, _NOT_AFTER, _NOT_BEFORE, thresholds, *_KEYS), RENEWAL
            ),
            ValueColumn("expires in", _TIME_LEFT, TIME_LEFT),
            ValueColumn("not after", to_milliseconds(min_by(_NOT_AFTER, *_KEYS)), DATE),
            ValueColumn("chain not after", to_milliseconds(min_by(_CHAIN_NOT_AFTER, *_KEYS)), DATE),
            ValueColumn("validity", _VALID, VALIDITY),
            LabelColumns(details, pick_one(_CERTIFICATES, ", ".join(_KEYS), *details)),
        ],
        sort_by="expires in",
        empty="no certificates",
    )


def _invalid_certificates() -> Json:
    return table(
        "Invalid certificates",
        "Certificates with an invalid chain, name or date. Click a server name to see the reason.",
        _KEYS,
        [
            ValueColumn("validity", f"{_VALID} == 0", VALIDITY),
            ValueColumn("expires in", f"{_TIME_LEFT} and on (server_name, connection) ({_VALID} == 0)", TIME_LEFT),
        ],
        sort_by="server_name",
        empty="all certificates are valid",
    )


def _next_expiries() -> Json:
    return time_series(
        "Days until the next ten expiries",
        "Time left of the ten certificates that expire first. A jump upwards is a renewal. Below zero, the certificate "
        "has expired.",
        DAYS_LEFT.or_else("no certificates"),
        range_query(to_days(f"bottomk(10, {_TIME_LEFT})"), "{{server_name}} {{connection}}"),
    )


# ---------------------------------------------------------------- signing keys


def _signing_keys() -> Json:
    valid_until = min_by(select_servers("signing_key_valid_until_timestamp_seconds"))
    return table(
        "Signing keys",
        "Valid ed25519 verify keys, and how long peers may cache them. Most servers extend the validity by a day or "
        "two whenever a peer fetches the keys. A date in the past is a fault.",
        ("server_name",),
        [
            ValueColumn("keys", min_by(select_servers("signing_keys")), COUNT),
            ValueColumn("expire in", _KEYS_TIME_LEFT, TIME_LEFT),
            ValueColumn("valid until", to_milliseconds(valid_until), DATE),
        ],
        sort_by="expire in",
        empty="no keys",
    )


def certificates_dashboard(thresholds: Thresholds) -> Dashboard:
    """Return the dashboard of the certificates and signing keys of all servers."""
    return Dashboard(
        "mxfed-certs",
        "Certificates and keys",
        "Certificates and signing keys of all servers: which ones expire next, and which ones are invalid.",
        servers_variables(),
        [EXPORTER_RESTARTS, FIRING_ALERTS],
        [
            Row(
                "Status",
                (
                    even_line(4, *_status(thresholds)),
                    line(9, (8, _expiry_histogram()), (10, _issuers()), (6, _tls_versions())),
                ),
            ),
            Row(
                "Certificates",
                (
                    line(14, (24, _all_certificates(thresholds))),
                    even_line(9, _invalid_certificates(), _next_expiries()),
                ),
            ),
            Row("Signing keys", (line(10, (24, _signing_keys())),)),
        ],
    )
