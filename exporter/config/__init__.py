"""The configuration file: YAML to a frozen Config, or to one ConfigError with every complaint and its line."""

from exporter.config.complaint import Complaint, ConfigError
from exporter.config.kinds import AddressPolicy
from exporter.config.loading import load
from exporter.config.places import IPNetwork, Place, listen_address
from exporter.config.settings import Config, Network, Probe, ServerUrl, SynapseDestinations, Web

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
