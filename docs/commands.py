"""The manual page, the page of the commands and the completions of the shells, from the parser of the command line."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

import shtab

from exporter import DISTRIBUTION
from exporter.cli import parser

SHELLS: Final = {
    "bash": f"bash/{DISTRIBUTION}",
    "zsh": f"zsh/_{DISTRIBUTION}",
    "fish": f"fish/{DISTRIBUTION}.fish",
}
"""The file of each shell below deploy/completions, with the name by which the shell finds it."""
_FILE = "FILE"  # the metavar of what is a file
_URL = f"https://github.com/{DISTRIBUTION}/{DISTRIBUTION}"
_FILES = """\
.SH FILES
.TP
.I /etc/matrix-federation-exporter/config.yaml
The configuration, where the systemd unit expects it.
"""
_SEE_ALSO = f"""\
.SH SEE ALSO
.BR prometheus (1),
.BR promtool (1),
.I {_URL}
"""


def completion(shell: str) -> str:
    """Return the completion of a shell. Arguments that are files are completed as such."""
    top = parser()
    for command in (top, *_commands(top).values()):
        for action in command._actions:  # noqa: SLF001 - argparse has no other way
            if action.metavar == _FILE:
                action.complete = shtab.FILE  # type: ignore[attr-defined] # an attribute of shtab's own
    return shtab.complete(top, shell)


def _commands(top: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return cast("Mapping[str, argparse.ArgumentParser]", _subparsers(top).choices)


def _subparsers(top: argparse.ArgumentParser) -> Any:
    return next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - as above


# ---------------------------------------------------------------- the manual page


def manual_page() -> str:
    """Return the page for section 1, in the macros of man(7)."""
    top = parser()
    commands = "".join(_section(name, command) for name, command in _commands(top).items())
    return (
        f'.\\" Generated from the parser by `make docs`.\n'
        f'.TH {DISTRIBUTION.upper()} 1 "" "{DISTRIBUTION}"\n'
        f".SH NAME\n{_escape(DISTRIBUTION)} \\- {_escape((top.description or '').rstrip('.'))}\n"
        f".SH SYNOPSIS\n.B {_escape(DISTRIBUTION)}\n.I COMMAND\n.RI [ OPTION .\\|.\\|.]\n"
        f".SH DESCRIPTION\n{_escape(top.description or '')}\n"
        f".SH COMMANDS\n{commands}{_FILES}{_SEE_ALSO}"
    )


def _section(name: str, command: argparse.ArgumentParser) -> str:
    actions = [action for action in command._actions if action.dest != "help"]  # noqa: SLF001 - as above
    arguments = " ".join(_escape(text) for action in actions if (text := _in_synopsis(action)))
    entries = "".join(f".TP\n{_heading(action)}\n{_help(command, action)}\n" for action in actions)
    return f".SS {_escape(name)}\n.B {_escape(name)}\n{arguments}\n.PP\n{_escape(command.description or '')}\n{entries}"


def _in_synopsis(action: argparse.Action) -> str:
    """Return what has to be written, and nothing for an option that may be left out."""
    if not action.option_strings:
        return f"{action.metavar}{' ...' if action.nargs == '+' else ''}"
    return f"{action.option_strings[0]} {action.metavar}" if action.required else ""


def _heading(action: argparse.Action) -> str:
    if not action.option_strings:
        return f".I {_escape(str(action.metavar))}"
    value = action.metavar or "|".join(map(str, action.choices or ()))
    option = _escape(action.option_strings[0])
    return f".BI {option} \\ {_escape(str(value))}" if value else f".B {option}"


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    return _escape(_help_text(command, action))


def _help_text(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": command.prog}


def _escape(text: str) -> str:
    """Return a text that troff prints as it is: hyphens stay ASCII, so that options can be copied."""
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


# ---------------------------------------------------------------- the page of the commands

_PAGE = """\
# Commands

This page is generated from the code by `make docs`. It is also there as a manual page
(`man matrix-federation-exporter`).

"""


def page() -> str:
    """Return docs/commands.md."""
    return _PAGE + "\n".join(_markdown(name, command) for name, command in _commands(parser()).items())


def _markdown(name: str, command: argparse.ArgumentParser) -> str:
    actions = [action for action in command._actions if action.dest != "help"]  # noqa: SLF001 - as above
    entries = "".join(f"- {_usage(action)}: {_help_text(command, action)}\n" for action in actions)
    return f"## {name}\n\n{command.description}\n" + (f"\n{entries}" if entries else "")


def _usage(action: argparse.Action) -> str:
    value = action.metavar or "|".join(map(str, action.choices or ()))
    usage = " ".join(filter(None, [*action.option_strings[:1], str(value)]))
    return f"`{usage}`{' (required)' if action.option_strings and action.required else ''}"


FILES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": page,
    f"../deploy/man/{DISTRIBUTION}.1": manual_page,
    **{f"../deploy/completions/{file}": partial(completion, shell) for shell, file in SHELLS.items()},
}
"""What writes each file. The paths are relative to docs/."""
