"""Programs that tests start. Each is stopped by its own id, and its log is shown where it does not start."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from tests.waiting import PATIENCE


class NotStartedError(Exception):
    """The message ends with what the program wrote."""


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str], files: Sequence[int] = ()
) -> Iterator[Popen[bytes]]:
    """`log` receives all that it writes; `files` are descriptors that it inherits."""
    with (
        log.open("wb") as output,
        Popen(command, stdin=DEVNULL, stdout=output, stderr=STDOUT, env=environment, pass_fds=files) as process,
    ):
        try:
            yield process
        finally:
            stop(process)


@contextmanager
def showing(log: Path) -> Iterator[None]:
    """What is written to `log` meanwhile: pytest shows it where the test fails."""
    with log.open() as written:
        written.seek(0, os.SEEK_END)
        try:
            yield
        finally:
            sys.stdout.write(written.read())


def stop(process: Popen[bytes]) -> None:
    """Raises TimeoutExpired where it has to be killed: it should have listened to SIGTERM."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except TimeoutExpired:
        process.kill()
        raise
