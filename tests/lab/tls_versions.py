"""TLS contexts for one version or one cipher suite, including old ones."""

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


def only_cipher(cipher: str) -> ConfigureTls:
    """Allow TLS 1.2 with this cipher suite, which has its name of OpenSSL, and nothing else."""

    def configure(context: SSLContext) -> None:
        context.maximum_version = TLSVersion.TLSv1_2
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    return configure
