"""Programs that tests start. Each is stopped by its process ID, and its log is shown if it does not start."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from tests.waiting import PATIENCE


class NotStartedError(Exception):
    """The message ends with the output of the program."""


@contextmanager
def running_program(
    command: Sequence[str], log: Path, environment: Mapping[str, str], files: Sequence[int] = ()
) -> Iterator[Popen[bytes]]:
    """Run a program; `log` receives its output, and `files` are descriptors that it inherits."""
    with (
        log.open("wb") as output,
        Popen(command, stdin=DEVNULL, stdout=output, stderr=STDOUT, env=environment, pass_fds=files) as process,
    ):
        try:
            yield process
        finally:
            _stop(process)


@contextmanager
def log_on_failure(log: Path) -> Iterator[None]:
    """Print what is written to `log` meanwhile: pytest shows it if the test fails."""
    with log.open() as file:
        file.seek(0, os.SEEK_END)
        try:
            yield
        finally:
            sys.stdout.write(file.read())


def _stop(process: Popen[bytes]) -> None:
    """Raises TimeoutExpired if the program has to be killed: it must handle SIGTERM."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except TimeoutExpired:
        process.kill()
        raise
