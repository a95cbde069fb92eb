"""The commands about files: those that check a configuration, and the one that creates a signing key."""

import os
import sys
from pathlib import Path
from typing import Final

from exporter.cli.parsers import AddParser, Arguments, add_command

# ---------------------------------------------------------------- check-config


def _add_check_config(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "check-config",
        _check_config,
        "list everything that is wrong with a configuration file",
        "Lists everything that is wrong with a configuration file and the server files that it names, with line "
        "numbers. The exit status is 0 if they are valid and 2 if they are not.",
    )
    added.add_argument("config", metavar="FILE", type=Path, help="the configuration file (YAML)")


def _check_config(chosen: Arguments) -> int:
    from exporter.config import ConfigError, load
    from exporter.reports.phrases import count_of
    from exporter.server_lists import file_sd

    config = load(chosen.config)
    files = file_sd.ServerFiles(config.server_files, config.lists.max_servers, max_complaints=sys.maxsize)
    files.refresh()
    if files.complaints:
        raise ConfigError(files.complaints)
    servers = count_of(len(file_sd.merge_servers(config, files.names)), "server")
    fetched = len(config.server_urls) + len(config.synapse_destinations)
    lists = f", {count_of(fetched, 'list')} to be fetched" if fetched else ""
    sys.stdout.write(f"{chosen.config}: {servers}{lists}, valid\n")
    return 0


# ---------------------------------------------------------------- check-web-config


def _add_check_web_config(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "check-web-config",
        _check_web_config,
        "list everything that is wrong with a web configuration file",
        "Lists everything that is wrong with a file for --web.config.file and the certificates and keys that it names, "
        "with line numbers. The exit status is 0 if they are valid and 2 if they are not.",
    )
    added.add_argument("web_config", metavar="FILE", type=Path, help="the web configuration file (YAML)")


def _check_web_config(chosen: Arguments) -> int:
    from exporter.web.settings.loading import WatchedFiles, load

    load(chosen.web_config, WatchedFiles())
    sys.stdout.write(f"{chosen.web_config}: valid\n")
    return 0


# ---------------------------------------------------------------- generate-signing-key


def _add_generate_signing_key(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "generate-signing-key",
        _generate_signing_key,
        "create a signing key for outbound.signing_key_file",
        "Creates a file with a new signing key for outbound.signing_key_file, in Synapse's format. Only its owner can "
        "read it. The exit status is 0 if the file was created and 2 if it exists or cannot be written.",
    )
    added.add_argument("file", metavar="FILE", type=Path, help="the file to create, which must not exist yet")


def _generate_signing_key(chosen: Arguments) -> int:
    """Peers remember a key by its ID, so a key is never overwritten."""
    from exporter.outbound.signing import generate_seed

    seed = generate_seed()
    try:
        descriptor = os.open(chosen.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        sys.stderr.write(f"cannot create {chosen.file}: {error.strerror}\n")
        return 2
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(str(seed))
    sys.stdout.write(f"{chosen.file}: {seed.key_id}\n")
    return 0


ALL: Final = (_add_check_config, _add_check_web_config, _add_generate_signing_key)
"""What adds each of these commands."""
