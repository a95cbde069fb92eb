"""Three real homeservers, and the exporter beside them: `make demo-synapse`."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from rich.console import Console

from deploy.demo.conversation import meet
from deploy.demo.federation import NAMES, Homeserver, describe
from deploy.demo.homeserver import DemoError, Synapse
from deploy.demo.menu import Menu
from exporter.app import App
from exporter.config import HostPort, parse_listen_address
from exporter.demo.both_ways.joining import join
from exporter.demo.command import FIRST_ROUND_SECONDS, listening_socket
from exporter.demo.federation import Federation
from exporter.demo.story import Problems
from exporter.model import durations, names
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.web.listeners import ListenError, ListeningSocket, bind

_PYTHON: Final = Path(__file__).parents[2] / ".venv-synapse" / "bin" / "python"
_CHOOSE_ADDRESS: Final = "choose the address with --web.listen-address"
_CHECK_SECONDS = 0.1
_TIMEOUT_SHARE = 0.8  # of the interval, which must be longer
_LOOK_SHARE = 0.5  # of the interval, so that a look at the other direction is due with every probe

_Value = TypeVar("_Value")


class Demo:
    """Runs until it is cancelled, and leaves nothing behind.

    - `python` is the Python that has Synapse.
    - `listening` is the socket of the exporter's pages.
    - `interval` is how often the exporter probes each server, in seconds.
    """

    def __init__(self, python: Path, listening: ListeningSocket, interval: float) -> None:
        self._python = python
        self._listening = listening
        self._interval = interval
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    async def run(self) -> None:
        """Raises DemoError."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="demo-synapse-")))
            synapses = [Synapse(name, folder / name, self._python) for name in NAMES]
            federation = await stack.enter_async_context(Federation(describe(synapses)))
            config_file = self._configure(federation, folder)
            for synapse in synapses:
                synapse.configure(federation.resolver, federation.ca_file)
                synapse.route(federation.connect_to)
                stack.push_async_callback(synapse.close)
            self._tell("Three Synapses start.")
            await asyncio.gather(*(synapse.start() for synapse in synapses))
            async for sentence in meet(synapses):
                self._tell(sentence)
            exporter = App(config_file, listen=[self._listening], first_round=FIRST_ROUND_SECONDS)
            app = await stack.enter_async_context(exporter)
            menu = Menu({each.server_name: Homeserver(each, federation) for each in synapses}, self._tell)
            self._introduce(app.addresses[0], menu)
            await asyncio.gather(app.run(asyncio.Event(), asyncio.Event()), menu.run(), self._tell_results(app))

    def _configure(self, federation: Federation, folder: Path) -> Path:
        """Write the configuration of the exporter, in JSON, which is valid YAML, and return the file."""
        interval = durations.text(self._interval)
        outbound = join(federation, folder, durations.text(_LOOK_SHARE * self._interval))
        outbound["by_family"] = {}  # these Synapses look up A records only
        probe = {"interval": interval, "timeout": durations.text(_TIMEOUT_SHARE * self._interval)}
        file = folder / "exporter.yaml"
        file.write_text(json.dumps({**federation.config(), "probe": probe, "outbound": outbound}), encoding="utf-8")
        return file

    def _introduce(self, address: HostPort, menu: Menu) -> None:
        self._tell(f"The exporter probes all three every {durations.text(self._interval)}: http://{address}/")
        lines = ["", "Type a number and press Enter to break something, and again to repair it:", "", *menu.lines()]
        self._console.print("\n".join([*lines, "", "Press Ctrl-C to stop.", ""]))

    async def _tell_results(self, app: App) -> None:
        """Tell what the exporter finds, whenever that changes."""
        told: dict[str, Problems] = {}
        while True:
            for name in NAMES:
                problems = _found_problems(app, name)
                if problems is not None and problems != told.get(name):
                    told[name] = problems
                    self._tell(f"exporter  {name}: {_describe(problems)}")
            await asyncio.sleep(_CHECK_SECONDS)

    def _tell(self, sentence: str) -> None:
        self._console.print(f"{datetime.now(UTC).astimezone():%H:%M:%S}  {sentence}")


def _found_problems(app: App, name: str) -> Problems | None:
    """Return what the latest probe has found, or None if there is no result yet."""
    state = app.board.state(names.parse(name))
    return frozenset(state.history[0].problems) if state and state.history else None


def _describe(problems: Problems) -> str:
    """Return each stage and reason, as in `/metrics`."""
    return ", ".join(f"{stage} {reason}" for stage, reason in sorted(problems)) or "no problems"


# ---------------------------------------------------------------- the command


def main() -> int:
    """Return 0 after Ctrl-C or SIGTERM, and 1 if the demo cannot run."""
    chosen = _parser().parse_args()
    logs.configure(LogLevel.WARNING, LogFormat.LOGFMT)
    try:
        with _listen(chosen.listen) as listening:  # first of all, to complain before the Synapses start
            asyncio.run(_run_until_signalled(Demo(chosen.synapse.absolute(), listening, chosen.interval)))
    except (DemoError, ListenError) as error:
        sys.stderr.write(f"demo-synapse: {error}\n")
        return 1
    return 0


def _listen(address: HostPort | None) -> ListeningSocket:
    """Without an address, choose one. Raises ListenError."""
    return bind([address], _CHOOSE_ADDRESS)[0] if address else listening_socket()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--synapse",
        metavar="PYTHON",
        type=Path,
        default=_PYTHON,
        help="the Python that Synapse is installed for (default: %(default)s)",
    )
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        type=_argument(parse_listen_address),
        help="the address of the exporter's pages (default: 127.0.0.1:10448, or any free port if that is in use)",
    )
    parser.add_argument(
        "--interval",
        metavar="DURATION",
        type=_argument(durations.parse),
        default="10s",
        help="how often each homeserver is probed (default: %(default)s)",
    )
    return parser


def _argument(parse: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Let argparse show what is wrong with an argument."""

    def convert(text: str) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


async def _run_until_signalled(demo: Demo) -> None:
    """Run until the first SIGINT or SIGTERM. Later ones do not interrupt the cleaning up."""
    running, loop = asyncio.create_task(demo.run()), asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]

    def stop() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        running.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


if __name__ == "__main__":
    sys.exit(main())
