"""The declaration of every key: pydantic validates the file with it, and generates the JSON Schema from it.

Without pydantic, these are plain frozen dataclasses of typed values: their constructors validate nothing. Durations are
in seconds.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, with_config

from exporter.config import value_types
from exporter.config.addresses import HostPort, IPNetwork, ListenAddress
from exporter.config.value_types import AddressScope
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily
from exporter.model.names import ServerName
from exporter.model.servers import DEFAULT_CADENCE, Cadence, WatchedServer

Name: TypeAlias = Annotated[ServerName, value_types.SERVER_NAME]
Url: TypeAlias = Annotated[str, value_types.URL]
DEFAULT_LISTEN = HostPort("127.0.0.1", 10448)  # not public by default, because /metrics names every watched server

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ExpectSettings:
    """Optional assertions about a server."""

    delegation: Annotated[Target | None, value_types.TARGET] = None
    """The only target that the delegation may have, as host:port."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A server to watch, with its own settings."""

    server_name: Name
    """The Matrix server name, as in user IDs."""
    interval: Annotated[float | None, value_types.DURATION] = None
    """How often this server is probed. Overrides probe.interval."""
    expect: ExpectSettings = field(default_factory=ExpectSettings)


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
    """How long a whole probe may take. Must be below every interval."""
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
class NetworkSettings:
    """How the exporter connects to the servers."""

    resolvers: tuple[Annotated[HostPort, value_types.RESOLVER], ...] = ()
    """The DNS servers to use. If the list is empty, the exporter uses those of the system."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store. The path is relative to the configuration file."""
    ip_families: tuple[Annotated[IPFamily, value_types.IP_FAMILY], ...] = ()
    """The IP families to probe over, ipv4 or ipv6 or both. If the list is empty, the routes of the machine decide."""
    address_policy: Annotated[AddressScope, value_types.ADDRESS_SCOPE] = AddressScope.PUBLIC
    """public: refuse private, loopback, link-local and other special-purpose addresses, and the ports that browsers
    block, such as 25, on every connection. any: allow all addresses and ports."""
    allow_networks: tuple[Annotated[IPNetwork, value_types.NETWORK], ...] = ()
    """Networks that are allowed although the policy is public."""
    allow_ports: tuple[Annotated[int, value_types.PORT], ...] = ()
    """Ports that are allowed although browsers block them and the policy is public."""
    connect_to: dict[Annotated[str, value_types.DESTINATION], Annotated[HostPort, value_types.ADDRESS]] = field(
        default_factory=dict
    )
    """Connects to a different address, like curl --connect-to. Keys are host:port or ip:port, values are ip:port."""
    notaries: Annotated[tuple[Name, ...], Field(max_length=value_types.MAX_NOTARIES)] = ()
    """Homeservers that every deep look asks whether they see the same signing keys. By default, it asks none."""
    connectivity_check: Annotated[
        tuple[Annotated[Target, value_types.TARGET], ...], Field(max_length=value_types.MAX_ANCHORS)
    ] = ()
    """Addresses, as host:port, at least one of which accepts connections whenever the exporter's own network is up. If
    the list is empty, the exporter uses the watched servers, provided that at least three of them were healthy."""


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
class ServerUrl:
    """A URL that returns server names, in Prometheus's http_sd format."""

    url: Url
    """The URL of the list; http or https. It is shown in the log and on /metrics."""
    refresh_interval: Annotated[float, value_types.DURATION] = 300.0
    """How often the exporter fetches the list."""
    token_file: Annotated[Path | None, value_types.TOKEN_FILE] = None
    """File with a bearer token, which is read before every request. The path is relative to the configuration file."""
    headers: Annotated[dict[str, str], value_types.HEADERS] = field(default_factory=dict, repr=False)
    """Additional request headers. Their values are never shown."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL only. The path is relative to the configuration
    file."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SynapseDestinations:
    """The servers that a Synapse federates with, from its admin API."""

    url: Annotated[str, value_types.BASE_URL]
    """The base URL of the admin API, without /_synapse/admin; http or https."""
    token_file: Annotated[Path, value_types.TOKEN_FILE]
    """File with the access token of an administrator, which is read before every request. The path is relative to the
    configuration file."""
    refresh_interval: Annotated[float, value_types.DURATION] = 3600.0
    """How often the exporter fetches the list."""
    failing_at_most: Annotated[float | None, value_types.DURATION] = None
    """Excludes the servers that Synapse has failed to reach for longer than this. By default, no server is excluded."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL only. The path is relative to the configuration
    file."""


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


def _expand_server(written: object) -> object:
    """Expand a plain server name, which is short for a mapping with only that name."""
    return written if isinstance(written, dict) else ServerSettings(value_types.SERVER_NAME(written))


def _expand_server_url(written: object) -> object:
    """Expand a plain URL, which is short for a mapping with only that URL."""
    return written if isinstance(written, dict) else ServerUrl(value_types.URL(written))


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration file of matrix-federation-exporter."""

    servers: tuple[
        Annotated[ServerSettings, BeforeValidator(_expand_server, json_schema_input_type=Name | ServerSettings)], ...
    ] = ()
    """The Matrix servers to watch: server names, or mappings with a server name and its settings."""
    server_files: tuple[Annotated[str, value_types.GLOB], ...] = ()
    """Files with more server names, in Prometheus's file_sd format: paths or patterns, relative to the configuration
    file."""
    server_urls: tuple[
        Annotated[ServerUrl, BeforeValidator(_expand_server_url, json_schema_input_type=Url | ServerUrl)], ...
    ] = ()
    """URLs that return more server names, in Prometheus's http_sd format: plain URLs, or mappings with a URL and its
    settings."""
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    """Synapse homeservers. All servers that they federate with are watched."""
    lists: ListSettings = field(default_factory=ListSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    web: WebSettings = field(default_factory=WebSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    outbound: Annotated[OutboundSettings | None, BeforeValidator(value_types.none_if_null)] = None


@dataclass(frozen=True, slots=True)
class Config:
    """A complete configuration, as the rest of the exporter uses it."""

    servers: tuple[WatchedServer, ...] = ()
    server_files: tuple[str, ...] = ()
    """Paths or patterns, relative to the working directory."""
    server_urls: tuple[ServerUrl, ...] = ()
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    lists: ListSettings = field(default_factory=ListSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    web: WebSettings = field(default_factory=WebSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    outbound: OutboundSettings | None = None
