"""TLS contexts for one version, including old ones."""

import warnings
from ssl import SSLContext, TLSVersion

from exporter.demo.servers import ConfigureTls


def only(version: TLSVersion) -> ConfigureTls:
    """Allow this version and no other."""

    def configure(context: SSLContext) -> None:
        with warnings.catch_warnings():  # Python's warnings are about old versions, which are what is wanted here
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version

    return configure
