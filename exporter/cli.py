"""The command line. Exit status: 0 done, 1 an address to listen on is taken, 2 wrong usage or configuration."""

import argparse
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter import DISTRIBUTION, VERSION
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.workers import MAX_WORKERS

if TYPE_CHECKING:
    from exporter.app import App
    from exporter.config import HostPort
    from exporter.model.shards import Shard

_Arguments: TypeAlias = argparse.Namespace
_AddParser: TypeAlias = Callable[..., argparse.ArgumentParser]
"""The method of that name of argparse's subparsers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status. Usage errors raise SystemExit, as argparse does."""
    chosen = parser().parse_args(arguments)
    run: Callable[[_Arguments], int] = chosen.run

    from exporter.config import ConfigError

    try:
        return run(chosen)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog=DISTRIBUTION,
        description="Prometheus exporter for the health of Matrix federation.",
        epilog=f"`{DISTRIBUTION} COMMAND --help` tells more about a command.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_serve, _add_check, _add_check_config, _add_check_web_config, _add_demo):
        add(commands.add_parser)
    return top


def _command(
    add_parser: _AddParser, name: str, run: Callable[[_Arguments], int], summary: str, details: str
) -> argparse.ArgumentParser:
    added = add_parser(name, help=summary, description=details, allow_abbrev=False)
    added.set_defaults(run=run, refuse=added.error)
    return added


# ---------------------------------------------------------------- serve


def _add_serve(add_parser: _AddParser) -> None:
    added = _command(
        add_parser,
        "serve",
        _serve,
        "probe the configured servers on schedule, and serve /metrics",
        "Probes the configured servers on schedule, and serves /metrics. SIGHUP reloads the configuration; SIGTERM and "
        "Ctrl-C stop it.",
    )
    added.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration file (YAML)")
    added.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        type=_listen_argument,
        action="append",
        default=[],
        help="where to serve; may be given several times; port 0 is any free one; overrides web.listen",
    )
    added.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        type=Path,
        help="TLS, users and headers, in the format of the Prometheus exporter toolkit (YAML)",
    )
    added.add_argument(
        "--web.health-without-auth",
        dest="health_without_auth",
        action="store_true",
        help="let everybody ask for /-/healthy and /-/ready, without password and client certificate",
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
        help="watch only this part of the servers, counted from 0; the name of a pod, such as exporter-3, means 3",
    )
    added.add_argument(
        "--shard.count",
        dest="shard_count",
        metavar="N",
        help="how many exporters share the servers, each with an index of its own",
    )
    added.add_argument(
        "--workers",
        metavar="N",
        type=_number_of_workers,
        default=1,
        help=f"processes that probe, to use more than one core; at most {MAX_WORKERS} (default: %(default)s, this one)",
    )
    _add_log_arguments(added)


def _number_of_workers(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MAX_WORKERS}, found {text!r}")


def _add_log_arguments(added: argparse.ArgumentParser) -> None:
    for option, choices, default, purpose in (
        ("level", LogLevel, LogLevel.INFO, "least important events that are logged"),
        ("format", LogFormat, LogFormat.LOGFMT, "format of the log"),
    ):
        added.add_argument(
            f"--log.{option}",
            dest=f"log_{option}",
            choices=[choice.value for choice in choices],
            default=default.value,
            help=f"{purpose} (default: %(default)s)",
        )


def _listen_argument(text: str) -> "HostPort":
    from exporter.config import parse_listen_address

    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected host:port, found {text!r}: {error}") from error


def _serve(chosen: _Arguments) -> int:
    from exporter.app import App
    from exporter.runtime import event_loop, logs
    from exporter.web.settings.live_config import LiveWebConfig
    from exporter.workers.pool import WorkerPool

    shard = _parse_shard(chosen)
    logs.configure(LogLevel(chosen.log_level), LogFormat(chosen.log_format))
    web = LiveWebConfig(chosen.web_config, health_without_auth=chosen.health_without_auth)
    app = App(
        chosen.config,
        listen=chosen.listen,
        web=web,
        lifecycle=chosen.lifecycle,
        shard=shard,
        workers=WorkerPool(chosen.workers, chosen.log_level, chosen.log_format) if chosen.workers > 1 else None,
    )
    return _run_app(app, event_loop.run)


def _run_app(app: AbstractAsyncContextManager["App"], run: Callable[[Coroutine[Any, Any, None]], None]) -> int:
    """Return the exit status. `run` runs a coroutine in a new event loop."""
    from exporter.web.listeners import ListenError

    try:
        run(_run_until_signalled(app))
    except ListenError as error:
        sys.stderr.write(f"{DISTRIBUTION}: {error}\n")
        return 1
    return 0


def _parse_shard(chosen: _Arguments) -> "Shard":
    from exporter.model.shards import Shard

    try:
        return Shard.of(chosen.shard_index, chosen.shard_count)
    except ValueError as error:
        chosen.refuse(str(error))
        raise


async def _run_until_signalled(exporter: AbstractAsyncContextManager["App"]) -> None:
    """Runs until SIGTERM or SIGINT; SIGHUP reloads."""
    import asyncio

    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hangup)):
        loop.add_signal_handler(number, event.set)
    async with exporter as app:
        await app.until(stop, hangup)


# ---------------------------------------------------------------- check


def _add_check(add_parser: _AddParser) -> None:
    added = _command(
        add_parser,
        "check",
        _run_check,
        "probe servers once, now, and show what came of it",
        "Probes servers once, now, and shows stage by stage what came of it, with a remedy for each problem. Exit "
        "status 0 where all of them federate, 1 where some do not, 2 for wrong usage or configuration.",
    )
    added.add_argument("servers", metavar="SERVER", nargs="+", help="a Matrix server name, such as example.org")
    added.add_argument("--config", metavar="FILE", type=Path, help="take `probe` and `network` from this file (YAML)")
    added.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people, or a JSON object on a line for each server (default: %(default)s)",
    )


def _run_check(chosen: _Arguments) -> int:
    from exporter import check
    from exporter.runtime import logs

    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    return check.run(chosen.servers, chosen.config, as_json=chosen.format == "json")


# ---------------------------------------------------------------- check-config


def _add_check_config(add_parser: _AddParser) -> None:
    added = _command(
        add_parser,
        "check-config",
        _check_config,
        "tell what is wrong with a configuration file",
        "Tells what is wrong with a configuration file and the server files that it names: every complaint, with its "
        "line. Exit status 0 where nothing is, else 2.",
    )
    added.add_argument("config", metavar="FILE", type=Path, help="the configuration file (YAML)")


def _check_config(chosen: _Arguments) -> int:
    from exporter.config import ConfigError, load
    from exporter.server_lists import file_sd
    from exporter.server_lists.file_sd import ServerFiles

    config = load(chosen.config)
    files = ServerFiles(config.server_files)
    files.refresh()
    if files.complaints:
        raise ConfigError(files.complaints)
    servers = _count_of(len(file_sd.merge_servers(config, files.names)), "server")
    elsewhere = len(config.server_urls) + len(config.synapse_destinations)
    lists = f", {_count_of(elsewhere, 'list')} to be read from elsewhere" if elsewhere else ""
    sys.stdout.write(f"{chosen.config}: {servers}{lists}, valid\n")
    return 0


def _count_of(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# ---------------------------------------------------------------- check-web-config


def _add_check_web_config(add_parser: _AddParser) -> None:
    added = _command(
        add_parser,
        "check-web-config",
        _check_web_config,
        "tell what is wrong with a file for --web.config.file",
        "Tells what is wrong with a file for --web.config.file and the certificates and keys that it names: every "
        "complaint, with its line. Exit status 0 where nothing is, else 2.",
    )
    added.add_argument("web_config", metavar="FILE", type=Path, help="the web configuration file (YAML)")


def _check_web_config(chosen: _Arguments) -> int:
    from exporter.web.settings.loading import WatchedFiles, load

    load(chosen.web_config, WatchedFiles())
    sys.stdout.write(f"{chosen.web_config}: valid\n")
    return 0


# ---------------------------------------------------------------- demo


def _add_demo(add_parser: _AddParser) -> None:
    _command(
        add_parser,
        "demo",
        _run_demo,
        "see the exporter at work on an embedded federation",
        "Starts a small Matrix federation with healthy and broken servers in this process, and the exporter over it. "
        "Needs no configuration and no network. Ctrl-C ends it.",
    )


def _run_demo(_: _Arguments) -> int:
    import asyncio

    from exporter.demo.command import demo
    from exporter.runtime import logs

    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    return _run_app(demo(), asyncio.run)
