"""The metric families, as a table: what `/metrics` says of every watched server. Drawn from its state, never set."""

from dataclasses import dataclass
from enum import StrEnum

from exporter.judging import verdict
from exporter.metrics import samples
from exporter.metrics.samples import Sampler

PREFIX = "matrix_federation_"


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


SUFFIXES: dict[str, str] = {MetricType.GAUGE: "", MetricType.COUNTER: "_total", MetricType.INFO: "_info"}


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name. `name` lacks the prefix and bears the suffix of its kind, as users write it."""

    name: str
    kind: MetricType
    help: str
    """One line, without quotes or backslashes."""
    labels: tuple[str, ...]
    """Beside `server_name`."""
    samples: Sampler
    kept_when_stale: bool = False
    """Stays when the latest result is too old."""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


FAMILIES: tuple[Family, ...] = (
    Family(
        "probe_success",
        MetricType.GAUGE,
        "1: a peer that follows the specification can federate, through at least one endpoint.",
        (),
        samples.of_report(verdict.federates),
    ),
    Family(
        "probe_duration_seconds",
        MetricType.GAUGE,
        "Duration of the whole probe, without waiting for its turn; none where the exporter was too slow to tell.",
        (),
        samples.of_report(samples.duration),
    ),
    Family(
        "probe_last_timestamp_seconds",
        MetricType.GAUGE,
        "When the latest probe ended that the exporter's own network did not spoil.",
        (),
        samples.of_report(lambda report: report.ended_at.timestamp()),
        kept_when_stale=True,
    ),
    Family(
        "probe_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "When a probe last succeeded.",
        (),
        samples.of_state(samples.last_success),
    ),
    Family(
        "probe_interval_seconds",
        MetricType.GAUGE,
        "Configured interval between probes.",
        (),
        samples.of_state(lambda state: state.watched.interval),
        kept_when_stale=True,
    ),
    Family(
        "probes_total",
        MetricType.COUNTER,
        "Probes that ended.",
        (),
        samples.of_counter(lambda state: state.probes),
        kept_when_stale=True,
    ),
    Family(
        "probe_failures_total",
        MetricType.COUNTER,
        "Probes that ended without success, but for those that failed by the exporter's own network.",
        (),
        samples.of_counter(lambda state: state.failures),
        kept_when_stale=True,
    ),
    Family(
        "stage_success",
        MetricType.GAUGE,
        "1: everything that reached the stage passed it.",
        ("probe_stage",),
        samples.by_stage(lambda seen: seen.ok),
    ),
    Family(
        "stage_duration_seconds",
        MetricType.GAUGE,
        "Duration of the stage: the slowest of those that ran; none where the exporter was too slow to tell.",
        ("probe_stage",),
        samples.samples_of_report(samples.stage_durations),
    ),
    Family(
        "failure_info",
        MetricType.INFO,
        "1 while a stage fails for that reason.",
        ("probe_stage", "reason"),
        samples.infos_of_report(samples.failures),
    ),
    Family(
        "warning_info",
        MetricType.INFO,
        "1 while the warning holds: it works, but will hurt someone.",
        ("warning",),
        samples.warnings,
    ),
    Family(
        "deep_look_timestamp_seconds",
        MetricType.GAUGE,
        "When the latest deep look was made: the stages proxy and notary and some warnings are as old as that.",
        (),
        samples.of_report(lambda report: report.deep.made_at.timestamp() if report.deep else None),
    ),
    Family(
        "delegation_info",
        MetricType.INFO,
        "1 for each target that the server name leads to; the method is the step of the specification.",
        ("method", "target"),
        samples.infos_of_report(samples.delegation),
    ),
    Family(
        "delegation_changes_total",
        MetricType.COUNTER,
        "How often the method or the set of targets changed since start; a failed lookup is no change.",
        (),
        samples.of_counter(lambda state: state.delegation_changes),
    ),
    Family(
        "delegation_as_expected",
        MetricType.GAUGE,
        "1: the delegation leads to the target that the configuration expects, and to no other.",
        (),
        samples.of_state(samples.delegation_as_expected),
    ),
    Family(
        "well_known_cache_seconds",
        MetricType.GAUGE,
        "How long peers may keep the answer of the well-known.",
        (),
        samples.of_report(samples.well_known_cache),
    ),
    Family(
        "srv_records",
        MetricType.GAUGE,
        "SRV records of the service.",
        ("service",),
        samples.samples_of_report(samples.srv_records),
    ),
    Family(
        "endpoints",
        MetricType.GAUGE,
        "Endpoints that were resolved.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[0]),
    ),
    Family(
        "endpoints_healthy",
        MetricType.GAUGE,
        "Endpoints that passed every stage.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[1]),
    ),
    Family(
        "tls_cert_not_after_timestamp_seconds",
        MetricType.GAUGE,
        "Expiry of the leaf certificate: the one that expires first of all endpoints.",
        ("connection",),
        samples.by_connection(samples.not_after),
    ),
    Family(
        "tls_cert_not_before_timestamp_seconds",
        MetricType.GAUGE,
        "Start of validity of the leaf certificate that expires first.",
        ("connection",),
        samples.by_connection(samples.not_before),
    ),
    Family(
        "tls_chain_not_after_timestamp_seconds",
        MetricType.GAUGE,
        "Earliest expiry in the chains as presented, of all endpoints.",
        ("connection",),
        samples.by_connection(samples.chain_not_after),
    ),
    Family(
        "tls_cert_valid",
        MetricType.GAUGE,
        "1: chain, name and dates of every certificate of the connection verify.",
        ("connection",),
        samples.by_connection(samples.all_valid),
    ),
    Family(
        "tls_cert_info",
        MetricType.INFO,
        "1 for the leaf certificate that expires first.",
        ("connection", "issuer", "fingerprint_sha256"),
        samples.infos_of_report(samples.certificates),
    ),
    Family(
        "tls_version_info",
        MetricType.INFO,
        "1 for each TLS version that was negotiated.",
        ("connection", "version"),
        samples.infos_of_report(samples.tls_versions),
    ),
    Family(
        "server_info",
        MetricType.INFO,
        "1; what the remote says of its software, at most 64 printable characters each.",
        ("name", "version"),
        samples.infos_of_report(samples.software),
    ),
    Family(
        "signing_keys",
        MetricType.GAUGE,
        "Valid ed25519 verify keys.",
        (),
        samples.of_report(samples.signing_keys),
    ),
    Family(
        "signing_key_valid_until_timestamp_seconds",
        MetricType.GAUGE,
        "Until when peers may keep the verify keys.",
        (),
        samples.of_report(samples.keys_valid_until),
    ),
)
