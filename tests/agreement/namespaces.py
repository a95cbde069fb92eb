"""Runs a module in network, mount and process namespaces of its own. Linux, root."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final

from tests.agreement.served import run_agreement
from tests.namespaces import APART

INSIDE: Final = "--inside"
"""The argument that tells a module that it is in there."""
COULD_NOT_RUN: Final = 2
_RESOLVER_OPTIONS: Final = "options timeout:2\n"
"""An unanswered question is given up after twice 2 s. Synapse gives up a request after 10 s, and the default of the C
library is twice 5 s: then it would be chance which of them comes first."""


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module --inside …` and return its status.

    However this process ends, its end of the pipe closes, and what runs inside ends with it.
    """
    if missing := [program for program in ("ip", "mount", "unshare") if not shutil.which(program)]:
        sys.stderr.write(f"could not run: {', '.join(missing)} missing\n")
        return COULD_NOT_RUN
    command = ["unshare", *APART, sys.executable, "-m", module, INSIDE, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        return process.wait()


def until_orphaned(main: Coroutine[None, None, int]) -> int:
    """Run `main` inside, and end it early when whoever started this ends."""

    async def watched() -> int:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task
        loop.add_reader(sys.stdin, task.cancel)
        loop.set_exception_handler(lambda *_: None)  # handshakes that clients break off are part of the cases
        return await main

    return asyncio.run(watched())


def set_up(folder: Path) -> None:
    """Give these namespaces the addresses and the resolver of the federations."""
    run_agreement.set_up_namespace(folder)
    with (folder / "resolv.conf").open("a") as file:
        file.write(_RESOLVER_OPTIONS)
