"""What all commands need to declare their arguments."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

Arguments: TypeAlias = argparse.Namespace
AddParser: TypeAlias = Callable[..., argparse.ArgumentParser]
"""The method `add_parser` of the subparsers."""


def add_command(
    add_parser: AddParser, name: str, run: Callable[[Arguments], int], summary: str, details: str
) -> argparse.ArgumentParser:
    added = add_parser(name, help=summary, description=details, allow_abbrev=False)
    added.set_defaults(run=run, refuse=added.error)
    return added
