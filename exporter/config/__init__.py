"""The configuration file: YAML to a frozen Config, or to one ConfigError with every complaint and its line."""

from exporter.config.addresses import IPNetwork, Place, listen_address
from exporter.config.complaint import Complaint, ConfigError
from exporter.config.loading import load
from exporter.config.settings import Config, Network, Probe, ServerUrl, SynapseDestinations, Web
from exporter.config.value_types import AddressPolicy

__all__ = [
    "AddressPolicy",
    "Complaint",
    "Config",
    "ConfigError",
    "IPNetwork",
    "Network",
    "Place",
    "Probe",
    "ServerUrl",
    "SynapseDestinations",
    "Web",
    "listen_address",
    "load",
]
