"""The commands about files: those that check a configuration, and those that create a signing key or rules."""

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
    from exporter.metrics.rules import rendering
    from exporter.reports.phrases import count_of
    from exporter.server_lists.file_sd import ServerFiles
    from exporter.server_lists.merging import select_servers
    from exporter.server_lists.source import Listing

    config = load(chosen.config)
    files = ServerFiles(config.server_files, config.lists.max_servers, max_complaints=sys.maxsize)
    files.refresh()
    if files.complaints:
        raise ConfigError(files.complaints)
    for complaint in files.left_out_labels:
        sys.stderr.write(f"label left out: {complaint}\n")
    selection = select_servers(config, files.listings, lambda _: Listing())
    for overlap in selection.overlaps:
        sys.stderr.write(f"{overlap}\n")
    servers = count_of(len(selection.servers), "server")
    fetched = len(config.server_urls) + len(config.synapse_destinations)
    lists = f", {count_of(fetched, 'list')} to be fetched" if fetched else ""
    sys.stdout.write(f"{chosen.config}: {servers}{lists}, valid\n")
    for metric in config.metrics.disabled:
        rules = ", ".join(rendering.rules_that_need(metric)) or "no rule"
        sys.stdout.write(f"{metric} is disabled, and needed by {rules}\n")
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


# ---------------------------------------------------------------- rules


def _add_rules(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "rules",
        _write_rules,
        "write the alerting and recording rules for Prometheus",
        "Writes the alerting and recording rules for Prometheus, a file for each topic. The file for --values contains "
        "what differs from the defaults: severities, thresholds, `for`, links, the name of the job, and disabled "
        "alerts. The exit status is 0 if the rules were written and 2 if a value is invalid or a file cannot be "
        "written.",
    )
    added.add_argument("--values", metavar="FILE", type=Path, help="the values that differ from the defaults (YAML)")
    chosen = added.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--output", metavar="FOLDER", type=Path, help="the folder to write to, which is created")
    chosen.add_argument("--defaults", action="store_true", help="print all values with their defaults instead")


def _write_rules(chosen: Arguments) -> int:
    from exporter.metrics.rules import rendering, values

    if chosen.defaults:
        sys.stdout.write(values.DEFAULTS_FILE.read_text(encoding="utf-8"))
        return 0
    rules = rendering.render(values.load(chosen.values) if chosen.values else values.defaults())
    try:
        chosen.output.mkdir(parents=True, exist_ok=True)
        for name, text in rules.items():
            (chosen.output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"cannot write to {chosen.output}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{chosen.output}: {', '.join(rules)}\n")
    return 0


ALL: Final = (_add_check_config, _add_check_web_config, _add_generate_signing_key, _add_rules)
"""What adds each of these commands."""
