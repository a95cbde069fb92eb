"""The metric families, as a table: what `/metrics` says of every watched server. Drawn from its standing, never set."""

from dataclasses import dataclass
from enum import StrEnum

from exporter.judging import verdict
from exporter.metrics import samples
from exporter.metrics.samples import Reading

PREFIX = "matrix_federation_"


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


SUFFIXES: dict[str, str] = {Kind.GAUGE: "", Kind.COUNTER: "_total", Kind.INFO: "_info"}


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name. `name` lacks the prefix and bears the suffix of its kind, as users write it."""

    name: str
    kind: Kind
    help: str
    """One line, without quotes or backslashes."""
    labels: tuple[str, ...]
    """Beside `server_name`."""
    samples: Reading
    lasting: bool = False
    """Stays when the latest result is too old."""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


FAMILIES: tuple[Family, ...] = (
    Family(
        "probe_success",
        Kind.GAUGE,
        "1: a peer that follows the specification can federate, through at least one endpoint.",
        (),
        samples.value(verdict.federates),
    ),
    Family(
        "probe_duration_seconds",
        Kind.GAUGE,
        "Duration of the whole probe, without waiting for its turn; none where the exporter was too slow to tell.",
        (),
        samples.value(samples.duration),
    ),
    Family(
        "probe_last_timestamp_seconds",
        Kind.GAUGE,
        "When the latest probe ended that the exporter's own network did not spoil.",
        (),
        samples.value(lambda report: report.ended_at.timestamp()),
        lasting=True,
    ),
    Family(
        "probe_last_success_timestamp_seconds",
        Kind.GAUGE,
        "When a probe last succeeded.",
        (),
        samples.watched(samples.last_success),
    ),
    Family(
        "probe_interval_seconds",
        Kind.GAUGE,
        "Configured interval between probes.",
        (),
        samples.watched(lambda standing: standing.watched.interval),
        lasting=True,
    ),
    Family(
        "probes_total",
        Kind.COUNTER,
        "Probes that ended.",
        (),
        samples.tally(lambda standing: standing.probes),
        lasting=True,
    ),
    Family(
        "probe_failures_total",
        Kind.COUNTER,
        "Probes that ended without success, but for those that failed by the exporter's own network.",
        (),
        samples.tally(lambda standing: standing.failures),
        lasting=True,
    ),
    Family(
        "stage_success",
        Kind.GAUGE,
        "1: everything that reached the stage passed it.",
        ("probe_stage",),
        samples.by_stage(lambda seen: seen.ok),
    ),
    Family(
        "stage_duration_seconds",
        Kind.GAUGE,
        "Duration of the stage: the slowest of those that ran; none where the exporter was too slow to tell.",
        ("probe_stage",),
        samples.values(samples.stage_durations),
    ),
    Family(
        "failure_info",
        Kind.INFO,
        "1 while a stage fails for that reason.",
        ("probe_stage", "reason"),
        samples.facts(samples.failures),
    ),
    Family(
        "warning_info",
        Kind.INFO,
        "1 while the warning holds: it works, but will hurt someone.",
        ("warning",),
        samples.warnings,
    ),
    Family(
        "deep_look_timestamp_seconds",
        Kind.GAUGE,
        "When the latest deep look was made: the stages proxy and notary and some warnings are as old as that.",
        (),
        samples.value(lambda report: report.deep.looked_at.timestamp() if report.deep else None),
    ),
    Family(
        "delegation_info",
        Kind.INFO,
        "1 for each target that the server name leads to; the method is the step of the specification.",
        ("method", "target"),
        samples.facts(samples.delegation),
    ),
    Family(
        "delegation_changes_total",
        Kind.COUNTER,
        "How often the method or the set of targets changed since start; a failed lookup is no change.",
        (),
        samples.tally(lambda standing: standing.delegation_changes),
    ),
    Family(
        "delegation_as_expected",
        Kind.GAUGE,
        "1: the delegation leads to the target that the configuration expects, and to no other.",
        (),
        samples.watched(samples.delegation_as_expected),
    ),
    Family(
        "well_known_cache_seconds",
        Kind.GAUGE,
        "How long peers may keep the answer of the well-known.",
        (),
        samples.value(samples.well_known_cache),
    ),
    Family(
        "srv_records",
        Kind.GAUGE,
        "SRV records of the service.",
        ("service",),
        samples.values(samples.srv_records),
    ),
    Family(
        "endpoints",
        Kind.GAUGE,
        "Endpoints that were resolved.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[0]),
    ),
    Family(
        "endpoints_healthy",
        Kind.GAUGE,
        "Endpoints that passed every stage.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[1]),
    ),
    Family(
        "tls_cert_not_after_timestamp_seconds",
        Kind.GAUGE,
        "Expiry of the leaf certificate: the one that expires first of all endpoints.",
        ("connection",),
        samples.by_connection(samples.not_after),
    ),
    Family(
        "tls_cert_not_before_timestamp_seconds",
        Kind.GAUGE,
        "Start of validity of the leaf certificate that expires first.",
        ("connection",),
        samples.by_connection(samples.not_before),
    ),
    Family(
        "tls_chain_not_after_timestamp_seconds",
        Kind.GAUGE,
        "Earliest expiry in the chains as presented, of all endpoints.",
        ("connection",),
        samples.by_connection(samples.chain_not_after),
    ),
    Family(
        "tls_cert_valid",
        Kind.GAUGE,
        "1: chain, name and dates of every certificate of the connection verify.",
        ("connection",),
        samples.by_connection(samples.all_valid),
    ),
    Family(
        "tls_cert_info",
        Kind.INFO,
        "1 for the leaf certificate that expires first.",
        ("connection", "issuer", "fingerprint_sha256"),
        samples.facts(samples.certificates),
    ),
    Family(
        "tls_version_info",
        Kind.INFO,
        "1 for each TLS version that was negotiated.",
        ("connection", "version"),
        samples.facts(samples.tls_versions),
    ),
    Family(
        "server_info",
        Kind.INFO,
        "1; what the remote says of its software, at most 64 printable characters each.",
        ("name", "version"),
        samples.facts(samples.software),
    ),
    Family(
        "signing_keys",
        Kind.GAUGE,
        "Valid ed25519 verify keys.",
        (),
        samples.value(samples.signing_keys),
    ),
    Family(
        "signing_key_valid_until_timestamp_seconds",
        Kind.GAUGE,
        "Until when peers may keep the verify keys.",
        (),
        samples.value(samples.keys_valid_until),
    ),
)
