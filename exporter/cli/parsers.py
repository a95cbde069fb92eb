"""What all commands need to declare their arguments."""

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NoReturn, TypeAlias

Arguments: TypeAlias = argparse.Namespace
AddParser: TypeAlias = Callable[..., argparse.ArgumentParser]
"""The method `add_parser` of the subparsers."""


def add_command(
    add_parser: AddParser, name: str, run: Callable[[Arguments], int], summary: str, details: str
) -> argparse.ArgumentParser:
    added = add_parser(name, help=summary, description=details, allow_abbrev=False)
    added.set_defaults(run=run, refuse=added.error)
    return added


def is_plugin(arguments: Sequence[str]) -> bool:
    """Return whether Nagios runs the command, even if its arguments are invalid."""
    chosen = "--format=nagios" in arguments or ("--format", "nagios") in pairwise(arguments)
    return chosen and "check" in arguments[:1]


class PluginParser(argparse.ArgumentParser):
    """Ends as a Nagios plugin does that did not check anything.

    To Nagios, the usual exit status 2 means that a server is down, and the status 0 of --help that it is fine.
    """

    def error(self, message: str) -> NoReturn:
        from exporter.check import nagios

        self.exit(message=nagios.unknown(f"{self.prog}: {message}").text)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        from exporter.check.nagios import Status

        sys.stdout.write(message or "")
        sys.exit(status or Status.UNKNOWN)
