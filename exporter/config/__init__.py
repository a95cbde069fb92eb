"""The configuration file: from YAML to a frozen Config, or to a ConfigError with all complaints and their lines."""

from exporter.config.addresses import ALL_ADDRESSES, HostPort, ListenAddress, ProxyUrl, UnixPath, parse_listen_address
from exporter.config.complaint import Complaint, ConfigError
from exporter.config.dump import dump
from exporter.config.groups import NetworkSettings, ProxySettings, ServerUrl, SynapseDestinations
from exporter.config.loading import load
from exporter.config.settings import (
    Config,
    DormantSettings,
    Group,
    ListSettings,
    MetricsSettings,
    OutboundNames,
    OutboundSettings,
    OutboundTls,
    ProbeSettings,
    StorageSettings,
    WebSettings,
)
from exporter.config.value_types import AddressScope

__all__ = [
    "ALL_ADDRESSES",
    "AddressScope",
    "Complaint",
    "Config",
    "ConfigError",
    "DormantSettings",
    "Group",
    "HostPort",
    "ListSettings",
    "ListenAddress",
    "MetricsSettings",
    "NetworkSettings",
    "OutboundNames",
    "OutboundSettings",
    "OutboundTls",
    "ProbeSettings",
    "ProxySettings",
    "ProxyUrl",
    "ServerUrl",
    "StorageSettings",
    "SynapseDestinations",
    "UnixPath",
    "WebSettings",
    "dump",
    "load",
    "parse_listen_address",
]
