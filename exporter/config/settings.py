"""The declaration of every key: pydantic validates the file with it, and generates the JSON Schema from it.

Without pydantic, these are plain frozen dataclasses of typed values: their constructors validate nothing. Durations are
in seconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, with_config

from exporter.config import value_types
from exporter.config.addresses import HostPort, ListenAddress
from exporter.config.groups import (
    STRICT,
    GroupSettings,
    Name,
    NetworkSettings,
    ServerFiles,
    Servers,
    ServerUrl,
    ServerUrls,
    SynapseDestinations,
)
from exporter.model.servers import (
    DEFAULT_CADENCE,
    DEFAULT_GROUP,
    NOTHING_EXPECTED,
    Cadence,
    Expectations,
    WatchedServer,
)

DEFAULT_LISTEN = HostPort("127.0.0.1", 10448)  # not public by default, because /metrics names every watched server


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class DormantSettings:
    """Servers that have failed for so long that they are probed rarely, until one probe succeeds."""

    after: Annotated[float, value_types.DURATION] = DEFAULT_CADENCE.dormant_after
    """For how long a server must have failed."""
    interval: Annotated[float, value_types.DURATION] = DEFAULT_CADENCE.dormant_interval
    """How often it is probed then. At least as long as its own interval."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How the exporter probes the servers."""

    interval: Annotated[float, value_types.DURATION] = 300.0
    """How often each server is probed. The probes are spread evenly over the interval."""
    timeout: Annotated[float, value_types.DURATION] = 30.0
    """How long a whole probe may take. Must be below the intervals."""
    concurrency: Annotated[int, value_types.CONCURRENCY] = 200
    """The maximum number of probes in flight."""
    deep_interval: Annotated[float, value_types.DURATION] = 3600.0
    """How often a probe includes a deep look, with a few more requests to every endpoint."""
    confirm_after: Annotated[float, value_types.DURATION] = DEFAULT_CADENCE.confirm_after
    """How soon after a change of the verdict the next probe comes, until two agree. At most the interval."""
    dormant: Annotated[DormantSettings | None, BeforeValidator(value_types.none_if_null)] = field(
        default_factory=DormantSettings
    )
    """Which servers are probed rarely, and how rarely. null: none."""

    @property
    def cadence(self) -> Cadence:
        if self.dormant is None:
            return Cadence(self.confirm_after, dormant_after=math.inf)
        return Cadence(self.confirm_after, self.dormant.after, self.dormant.interval)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What the exporter exposes about the servers on /metrics and /probe."""

    disabled: tuple[Annotated[str, value_types.METRIC], ...] = ()
    """Metrics that are switched off, by their full names. The rules and dashboards that need them show nothing."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the exporter serves over HTTP."""

    listen: tuple[Annotated[ListenAddress, value_types.LISTEN_ADDRESS], ...] = (DEFAULT_LISTEN,)
    """The addresses to listen on: host:port, :port for all addresses of both families, or unix:/path."""
    probe_any: Annotated[bool, value_types.BOOLEAN] = False
    """true: /probe, the reports and the pages also probe servers that are not watched."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where the exporter keeps what happened to the servers."""

    path: Annotated[Path | None, value_types.STORAGE_FILE] = None
    """SQLite file, which is created if it is missing. null: keep the history in memory, until the exporter stops. The
    path is relative to the configuration file."""
    retention: Annotated[float, value_types.DURATION] = 90 * 86400.0
    """How long incidents and changes are kept."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ListSettings:
    """Limits of the server lists: of each file, URL and Synapse."""

    max_servers: Annotated[int, value_types.LIST_LENGTH] = 50_000
    """The maximum number of servers of one list. Those after the first so many are not watched."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class OutboundTls:
    """The certificate of the exporter's own listener. Both files are read again when they change."""

    cert_file: Annotated[Path, value_types.PEM_FILE]
    """PEM file with the certificate for the server name and its intermediate certificates. The path is relative to the
    configuration file."""
    key_file: Annotated[Path, value_types.PEM_FILE]
    """PEM file with the private key. The path is relative to the configuration file."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class OutboundNames:
    """More names of the exporter, each with addresses of one IP family, which lead other servers to `listen` as well.

    With them, a server that reaches others over one family only is told from one that reaches them over both.
    """

    ipv4: Name | None = None
    """A name with A records only."""
    ipv6: Name | None = None
    """A name with AAAA records only."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """The other direction: the exporter listens as a homeserver, and checks whether the watched servers reach it."""

    server_name: Name
    """The exporter's own name in the federation. It must lead other servers to `listen`."""
    signing_key_file: Annotated[Path, value_types.KEY_FILE]
    """The exporter's signing key in Synapse's format, which only its owner can read: create it with
    `matrix-federation-exporter generate-signing-key FILE`. The path is relative to the configuration file."""
    listen: tuple[Annotated[ListenAddress, value_types.LISTEN_ADDRESS], ...] = (HostPort("0.0.0.0", 8448),)  # noqa: S104 - others must reach it
    """The addresses to listen on for other servers. Never one of web.listen."""
    tls: Annotated[OutboundTls | None, BeforeValidator(value_types.none_if_null)] = None
    """The certificate, unless a reverse proxy in front of `listen` has it."""
    interval: Annotated[float, value_types.DURATION] = 900.0
    """How often each server is looked at, with the first probe that is due then."""
    by_family: OutboundNames = field(default_factory=OutboundNames)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration file of matrix-federation-exporter."""

    servers: Servers = ()
    """The Matrix servers to watch: server names, or mappings with a server name and its settings."""
    server_files: ServerFiles = ()
    """Files with more server names, in Prometheus's file_sd format: paths or patterns, relative to the configuration
    file."""
    server_urls: ServerUrls = ()
    """URLs that return more server names, in Prometheus's http_sd format: plain URLs, or mappings with a URL and its
    settings."""
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    """Synapse homeservers. All servers that they federate with are watched."""
    groups: tuple[GroupSettings, ...] = ()
    """More servers, which have labels or settings of their own."""
    lists: ListSettings = field(default_factory=ListSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    web: WebSettings = field(default_factory=WebSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    outbound: Annotated[OutboundSettings | None, BeforeValidator(value_types.none_if_null)] = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of servers, as the rest of the exporter uses it."""

    name: str = DEFAULT_GROUP
    labels: Mapping[str, str] = field(default_factory=dict)
    """An empty one removes that label."""
    servers: tuple[WatchedServer, ...] = ()
    server_files: tuple[str, ...] = ()
    """Paths or patterns, relative to the working directory."""
    server_urls: tuple[ServerUrl, ...] = ()
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    interval: float = ProbeSettings().interval
    """Of the servers on lists, like `cadence` and `expected`."""
    cadence: Cadence = DEFAULT_CADENCE
    expected: Expectations = NOTHING_EXPECTED
    timeout: float | None = None
    """None: `probe.timeout`."""
    network: NetworkSettings | None = None
    """With every key; None if it is that of the top level."""


@dataclass(frozen=True, slots=True)
class Config:
    """A complete configuration, as the rest of the exporter uses it."""

    groups: tuple[Group, ...] = (Group(),)
    """The first is the default one."""
    lists: ListSettings = field(default_factory=ListSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    web: WebSettings = field(default_factory=WebSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    outbound: OutboundSettings | None = None

    def timeout_of(self, group: Group) -> float:
        return group.timeout or self.probe.timeout

    def network_of(self, group: Group) -> NetworkSettings:
        return group.network or self.network

    def networks(self) -> dict[str, str]:
        """Return for each group the network of its servers, which has the name of the first group that it is for."""
        first: list[Group] = []
        named = {}
        for group in self.groups:
            network = self.network_of(group)
            same = next((each for each in first if self.network_of(each) == network), None)
            if same is None:
                first.append(group)
            named[group.name] = (same or group).name
        return named

    @property
    def servers(self) -> tuple[WatchedServer, ...]:
        """The servers of all groups that no list names."""
        return tuple(server for group in self.groups for server in group.servers)

    @property
    def server_files(self) -> tuple[str, ...]:
        """Those of all groups."""
        return tuple(dict.fromkeys(pattern for group in self.groups for pattern in group.server_files))

    @property
    def server_urls(self) -> tuple[ServerUrl, ...]:
        """Those of all groups."""
        return tuple(url for group in self.groups for url in group.server_urls)

    @property
    def synapse_destinations(self) -> tuple[SynapseDestinations, ...]:
        """Those of all groups."""
        return tuple(synapse for group in self.groups for synapse in group.synapse_destinations)
