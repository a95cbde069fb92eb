"""The metric families of the watched servers, as a table. Their samples are derived from the server states."""

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


# What many lines have in common is put into them by a scrape. It is two thirds of the text of all lines, and these
# characters, which no label value contains, stand for it until then.
LINE_START = "\0"
"""The `line_start` of the family."""
SERVER_LABELS = "\1"
"""The labels of the server: its name, and the labels of its group or list."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family."""

    name: str
    """With the suffix of its type, and without the prefix of all families."""
    metric_type: MetricType
    help: str
    """One line, without quotes or backslashes."""
    labels: tuple[str, ...]
    """In addition to `server_name`."""
    samples: Sampler
    kept_when_stale: bool = False
    """Whether its samples stay when the latest result is too old."""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def line_start(self) -> str:
        """What all of its lines begin with, up to the labels of the server or the value of another label."""
        first = self.sorted_labels[0]
        return self.full_name + "{" + ("" if first == "server_name" else f'{first}="')

    @property
    def sorted_labels(self) -> list[str]:
        return sorted(("server_name", *self.labels))


FAMILIES: tuple[Family, ...] = (
    Family(
        "probe_success",
        MetricType.GAUGE,
        "1 if both Synapse and Dendrite can federate with the server, 0 if not.",
        (),
        samples.from_report(verdict.federates),
    ),
    Family(
        "peer_success",
        MetricType.GAUGE,
        "1 if this implementation can federate with the server, 0 if not. conduit stands for the Conduit family, such "
        "as continuwuity and tuwunel.",
        ("implementation",),
        samples.many_from_report(samples.peer_success),
    ),
    Family(
        "probe_duration_seconds",
        MetricType.GAUGE,
        "Duration of the whole probe, without the wait for a probe slot. Missing if the event loop stalled during it.",
        (),
        samples.from_report(samples.duration),
    ),
    Family(
        "probe_last_timestamp_seconds",
        MetricType.GAUGE,
        "When the latest probe ended, apart from probes during an outage of the exporter's own network.",
        (),
        samples.from_report(lambda report: report.ended_at.timestamp()),
        kept_when_stale=True,
    ),
    Family(
        "probe_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "When the latest successful probe ended.",
        (),
        samples.from_state(samples.last_success),
    ),
    Family(
        "probe_interval_seconds",
        MetricType.GAUGE,
        "Interval in force between probes: the configured one, a shorter one until a changed verdict is confirmed, or "
        "a longer one while the server is dormant.",
        (),
        samples.from_state(lambda state: state.interval),
        kept_when_stale=True,
    ),
    Family(
        "probes_total",
        MetricType.COUNTER,
        "Number of probes that ended.",
        (),
        samples.counter(lambda state: state.probes),
        kept_when_stale=True,
    ),
    Family(
        "probe_failures_total",
        MetricType.COUNTER,
        "Number of probes that failed, apart from probes during an outage of the exporter's own network.",
        (),
        samples.counter(lambda state: state.failures),
        kept_when_stale=True,
    ),
    Family(
        "incident_start_timestamp_seconds",
        MetricType.GAUGE,
        "When the first failing probe since the latest success ended, which may be before the exporter started. "
        "Missing while probe_success is 1.",
        (),
        samples.from_state(samples.incident_start),
    ),
    Family(
        "stage_success",
        MetricType.GAUGE,
        "1 if everything that reached the stage passed it, 0 if not.",
        ("probe_stage",),
        samples.by_stage(lambda stage: stage.ok),
    ),
    Family(
        "stage_duration_seconds",
        MetricType.GAUGE,
        "Duration of the stage, where it took longest. Missing if the event loop stalled during the probe.",
        ("probe_stage",),
        samples.many_from_report(samples.stage_durations),
    ),
    Family(
        "failure_info",
        MetricType.INFO,
        "1 for each reason for which a stage fails.",
        ("probe_stage", "reason"),
        samples.info_from_report(samples.failures),
    ),
    Family(
        "warning_info",
        MetricType.INFO,
        "1 for each active warning: the server works, but this will cause problems.",
        ("warning",),
        samples.warnings,
    ),
    Family(
        "deep_look_timestamp_seconds",
        MetricType.GAUGE,
        "When the latest deep look was made. The stages proxy and notary and some warnings come from it.",
        (),
        samples.from_report(lambda report: report.deep.made_at.timestamp() if report.deep else None),
    ),
    Family(
        "outbound_timestamp_seconds",
        MetricType.GAUGE,
        "When the server was last made to connect to the exporter. The stage outbound comes from it.",
        (),
        samples.from_report(samples.outbound_timestamp),
    ),
    Family(
        "outbound_info",
        MetricType.INFO,
        "1 if the server reached the exporter, with how it was made to, and over which IP family it came: over both, "
        "if outbound.by_family has names for them. The family is empty if a reverse proxy hides it.",
        ("method", "ip_family"),
        samples.info_from_report(samples.outbound),
    ),
    Family(
        "delegation_info",
        MetricType.INFO,
        "1 for each target that the server name leads to. The method is the step of the specification that applied.",
        ("method", "target"),
        samples.info_from_report(samples.delegation),
    ),
    Family(
        "changes_total",
        MetricType.COUNTER,
        "How often the delegation, the certificates, the signing keys, the software or the addresses have "
        "changed since the start. A failure is not a change.",
        ("subject",),
        samples.changes,
    ),
    Family(
        "as_expected",
        MetricType.GAUGE,
        "1 if what a probe finds is as `expect` in the configuration says, 0 if not. Missing while nothing is found.",
        ("expectation",),
        samples.as_expected,
    ),
    Family(
        "well_known_cache_seconds",
        MetricType.GAUGE,
        "For how long peers may cache the well-known response.",
        (),
        samples.from_report(samples.well_known_cache),
    ),
    Family(
        "srv_records",
        MetricType.GAUGE,
        "Number of SRV records of the service.",
        ("service",),
        samples.many_from_report(samples.srv_records),
    ),
    Family(
        "endpoints",
        MetricType.GAUGE,
        "Number of endpoints that were resolved.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[0]),
    ),
    Family(
        "endpoints_healthy",
        MetricType.GAUGE,
        "Number of endpoints that passed every stage.",
        ("ip_family",),
        samples.by_family(lambda counts: counts[1]),
    ),
    Family(
        "tls_cert_not_after_timestamp_seconds",
        MetricType.GAUGE,
        "Expiry of the leaf certificate that expires first, of all endpoints.",
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
        "Earliest expiry in the chains that verify the certificates, up to the trusted root, of all endpoints.",
        ("connection",),
        samples.by_connection(samples.chain_not_after),
    ),
    Family(
        "tls_cert_valid",
        MetricType.GAUGE,
        "1 if the chain, the name and the dates of every certificate of the connection are valid, 0 if not.",
        ("connection",),
        samples.by_connection(samples.all_valid),
    ),
    Family(
        "tls_cert_info",
        MetricType.INFO,
        "Issuer and fingerprint of the leaf certificate that expires first. The value is always 1.",
        ("connection", "issuer", "fingerprint_sha256"),
        samples.info_from_report(samples.certificates),
    ),
    Family(
        "tls_version_info",
        MetricType.INFO,
        "1 for each TLS version that was negotiated.",
        ("connection", "version"),
        samples.info_from_report(samples.tls_versions),
    ),
    Family(
        "server_info",
        MetricType.INFO,
        "Software that the server reports, at most 64 printable characters for each label. The value is always 1.",
        ("name", "version"),
        samples.info_from_report(samples.software),
    ),
    Family(
        "signing_keys",
        MetricType.GAUGE,
        "Number of valid ed25519 signing keys.",
        (),
        samples.from_report(samples.signing_keys),
    ),
    Family(
        "signing_key_valid_until_timestamp_seconds",
        MetricType.GAUGE,
        "Until when peers may cache the signing keys.",
        (),
        samples.from_report(samples.keys_valid_until),
    ),
)
METRIC_NAMES = tuple(family.full_name for family in FAMILIES)
