"""The command line.

`serve` and `demo` return 0 after they were stopped and 1 if the exporter cannot listen on an address. All commands
return 2 if the usage or a configuration is invalid, and `check --format nagios` returns 3. Each command imports what it
needs when it runs, so that `--help` and `check-config` start quickly.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter import DISTRIBUTION, VERSION
from exporter.cli import file_commands
from exporter.cli.parsers import AddParser, Arguments, PluginParser, add_command, is_plugin
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.workers import MAX_WORKERS

if TYPE_CHECKING:
    from exporter.app import App
    from exporter.config import ListenAddress
    from exporter.model.shards import Shard
    from exporter.web.settings.location import Location


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status. Raises SystemExit for invalid usage, --help and --version."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"]:  # its handler comes later: until then, a reload must not end it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    chosen = parser(PluginParser if is_plugin(arguments) else argparse.ArgumentParser).parse_args(arguments)
    from exporter.config import ConfigError

    try:
        return int(chosen.run(chosen))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def parser(kind: type[argparse.ArgumentParser] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser of all commands. The parsed arguments have an attribute `run`, the function of the command."""
    top = kind(
        prog=DISTRIBUTION,
        description="Prometheus exporter for the health of Matrix federation.",
        epilog=f"`{DISTRIBUTION} COMMAND --help` describes a command.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_serve, _add_check, *file_commands.ALL, _add_demo):
        add(commands.add_parser)
    return top


# ---------------------------------------------------------------- serve


def _add_serve(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "serve",
        _serve,
        "probe the configured servers on schedule and serve /metrics",
        "Probes the configured servers on schedule and serves /metrics. SIGHUP reloads the configuration; SIGTERM and "
        "Ctrl-C stop the exporter.",
    )
    added.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration file (YAML)")
    added.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="ADDRESS",
        type=_listen_argument,
        action="append",
        default=[],
        help="the address to listen on: host:port, :port for all addresses, or unix:/path; overrides web.listen; may "
        "be repeated; port 0 is any free port",
    )
    added.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes (socket activation) instead",
    )
    added.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="the URL at which clients find the exporter, for absolute links; all pages are served below its path",
    )
    added.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        metavar="PATH",
        help="the path below which all pages are served; use / if a reverse proxy removes the path of the external URL",
    )
    added.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        type=Path,
        help="the web configuration file: TLS, passwords, headers, as in the Prometheus exporter toolkit (YAML)",
    )
    added.add_argument(
        "--web.health-without-auth",
        dest="health_without_auth",
        action="store_true",
        help="serve /-/healthy and /-/ready without a password or a client certificate",
    )
    added.add_argument(
        "--web.enable-lifecycle",
        dest="lifecycle",
        action="store_true",
        help="let POST /-/reload reload the configuration",
    )
    added.add_argument(
        "--shard.index",
        dest="shard_index",
        metavar="I",
        help="which part of the servers to watch, counted from 0; the name of a pod such as exporter-3 means 3",
    )
    added.add_argument(
        "--shard.count",
        dest="shard_count",
        metavar="N",
        help="the number of exporters that share the servers, each with its own index",
    )
    added.add_argument(
        "--workers",
        metavar="N",
        type=_number_of_workers,
        default=1,
        help=f"the number of processes that probe, to use several cores; at most {MAX_WORKERS} (default: %(default)s)",
    )
    _add_log_arguments(added)


def _number_of_workers(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MAX_WORKERS}, found {text!r}")


def _add_log_arguments(added: argparse.ArgumentParser) -> None:
    for option, choices, default, purpose in (
        ("level", LogLevel, LogLevel.INFO, "the lowest level that is logged"),
        ("format", LogFormat, LogFormat.LOGFMT, "the format of the log"),
    ):
        added.add_argument(
            f"--log.{option}",
            dest=f"log_{option}",
            choices=[choice.value for choice in choices],
            default=default.value,
            help=f"{purpose} (default: %(default)s)",
        )


def _listen_argument(text: str) -> "ListenAddress":
    from exporter.config import parse_listen_address

    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected host:port, :port or unix:/path, found {text!r}: {error}") from error


def _serve(chosen: Arguments) -> int:
    from exporter.app import App
    from exporter.runtime import event_loop, logs
    from exporter.runtime.systemd import ServiceManager
    from exporter.web.settings.live_config import LiveWebConfig
    from exporter.workers.pool import WorkerPool

    logs.configure(LogLevel(chosen.log_level), LogFormat(chosen.log_format))
    service_manager = ServiceManager(os.environ)
    inherited = service_manager.inherited_sockets() if chosen.systemd_socket else []
    if chosen.systemd_socket and not inherited:
        chosen.refuse("--web.systemd-socket: systemd passed no socket: start the exporter by its socket unit")
    app = App(
        chosen.config,
        listen=inherited or chosen.listen,
        web=LiveWebConfig(
            chosen.web_config, health_without_auth=chosen.health_without_auth, location=_parse_location(chosen)
        ),
        lifecycle=chosen.lifecycle,
        shard=_parse_shard(chosen),
        workers=WorkerPool(chosen.workers, chosen.log_level, chosen.log_format) if chosen.workers > 1 else None,
        service_manager=service_manager,
    )
    return _run_app(app, event_loop.run)


def _run_app(app: AbstractAsyncContextManager["App"], run: Callable[[Coroutine[Any, Any, None]], None]) -> int:
    """Run the exporter and return the exit status. `run` runs a coroutine in a new event loop."""
    from exporter.web.listeners import ListenError

    try:
        run(_run_until_signalled(app))
    except ListenError as error:
        sys.stderr.write(f"{DISTRIBUTION}: {error}\n")
        return 1
    return 0


def _parse_location(chosen: Arguments) -> "Location":
    from exporter.web.settings.location import Location

    try:
        return Location.parse(chosen.external_url, chosen.route_prefix)
    except ValueError as error:
        chosen.refuse(f"--web.external-url or --web.route-prefix: {error}")
        raise


def _parse_shard(chosen: Arguments) -> "Shard":
    from exporter.model.shards import Shard

    try:
        return Shard.parse(chosen.shard_index, chosen.shard_count)
    except ValueError as error:
        chosen.refuse(str(error))
        raise


async def _run_until_signalled(exporter: AbstractAsyncContextManager["App"]) -> None:
    """Run until SIGTERM or SIGINT. SIGHUP reloads the configuration."""
    import asyncio

    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hangup)):
        loop.add_signal_handler(number, event.set)
    async with exporter as app:
        await app.run(stop, hangup)


# ---------------------------------------------------------------- check


def _add_check(add_parser: AddParser) -> None:
    added = add_command(
        add_parser,
        "check",
        _run_check,
        "probe servers once, immediately, and print a report",
        "Probes servers once, immediately, and prints a report of every stage and a remedy for each problem. The exit "
        "status is 0 if Synapse and Dendrite can federate with all, 1 if not, 2 if usage or configuration is invalid.",
    )
    added.add_argument("servers", metavar="SERVER", nargs="+", help="a Matrix server name, such as example.org")
    added.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="use the sections `probe`, `network`, `groups`, `storage` and `outbound` of this file",
    )
    added.add_argument(
        "--group",
        metavar="NAME",
        help="the group of the servers, with its network and expectations, if the file does not say which it is",
    )
    added.add_argument("--history", action="store_true", help="also show the incidents and changes in `storage.path`")
    added.add_argument(
        "--format",
        choices=("text", "json", "nagios"),
        default="text",
        help="text, one JSON object per line and server, or the output and the exit status of a Nagios plugin "
        "(default: %(default)s)",
    )
    added.add_argument(
        "--outbound",
        action="store_true",
        help="look at the other direction too, as the section `outbound` of the configuration describes it",
    )


def _run_check(chosen: Arguments) -> int:
    from exporter import check
    from exporter.runtime import logs

    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    if chosen.format == "nagios":
        if chosen.history:
            chosen.refuse("--history cannot be shown with --format nagios")
        return check.run_nagios(chosen.servers, chosen.config, outbound=chosen.outbound, group=chosen.group)
    return check.run(
        chosen.servers,
        chosen.config,
        as_json=chosen.format == "json",
        with_history=chosen.history,
        outbound=chosen.outbound,
        group=chosen.group,
    )


# ---------------------------------------------------------------- demo


def _add_demo(add_parser: AddParser) -> None:
    add_command(
        add_parser,
        "demo",
        _run_demo,
        "run the exporter against an embedded federation",
        "Starts a small Matrix federation with healthy and broken servers in this process, and runs the exporter "
        "against it. It needs neither a configuration nor a network. Ctrl-C stops it.",
    )


def _run_demo(_: Arguments) -> int:
    import asyncio

    from exporter.demo.command import demo
    from exporter.runtime import logs

    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    return _run_app(demo(), asyncio.run)
