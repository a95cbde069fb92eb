"""`python -m tests.fuzz SECONDS [TARGET...]`: fuzzes each target for so many seconds, and prints a table.

New inputs are kept in `build/fuzz` for the next run. So are inputs that make a target fail, and their traceback is
printed.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.table import TARGETS, Target

BUILD: Final = Path("build/fuzz")
MAX_BYTES: Final = 8192  # of an input
INPUT_TIMEOUT_SECONDS: Final = 25  # for one input, on a busy machine
MAX_MEGABYTES: Final = 2048
EXECUTED: Final = re.compile(r"stat::number_of_executed_units: *(\d+)")
COVERED: Final = re.compile(r"\sINITED\s+cov: (\d+)(?:.*\scov: (\d+))?", re.DOTALL)
CRASHED: Final = re.compile(r"Test unit data to (.+)")
NOISE: Final = re.compile(r"^(?:#\d+\s|stat::|INFO: |0x).*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """The result of fuzzing a target."""

    target: str
    executions: int
    seconds: int
    covered: tuple[int, int]
    """The number of branches that were covered at the beginning and at the end."""
    crashes: tuple[str, ...]
    failed: bool

    def __str__(self) -> str:
        before, after = self.covered
        rate = self.executions // max(1, self.seconds)
        crashes = len(self.crashes) or int(self.failed)
        return f"{self.target:<14}{self.executions:>12}{rate:>14}{after:>10}{after - before:>8}{crashes:>9}"


TABLE_HEAD: Final = f"{'target':<14}{'executions':>12}{'executions/s':>14}{'coverage':>10}{'new':>8}{'crashes':>9}"


def fuzz(target: Target, seconds: int) -> Run:
    new_inputs, seeds = BUILD / "found" / target.name, BUILD / "seeds" / target.name
    for folder in (new_inputs, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds(), 1):
        (seeds / str(number)).write_bytes(seed)
    limits = (
        f"-max_len={MAX_BYTES} -timeout={INPUT_TIMEOUT_SECONDS} -rss_limit_mb={MAX_MEGABYTES} -max_total_time={seconds}"
    )
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, *limits.split(), "-print_final_stats=1"]
    process = subprocess.run(
        [*command, f"-artifact_prefix={BUILD}/{target.name}-", str(new_inputs), str(seeds)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    run = parse_output(target, seconds, process.stdout + process.stderr, failed=process.returncode != 0)
    if run.failed:
        sys.stderr.write(NOISE.sub("", process.stdout + process.stderr))
    return run


def parse_output(target: Target, seconds: int, output: str, *, failed: bool) -> Run:
    """Return the result in the output of libFuzzer."""
    executions = EXECUTED.search(output)
    covered = COVERED.search(output)
    return Run(
        target.name,
        int(executions[1]) if executions else 0,
        seconds,
        (int(covered[1]), int(covered[2] or covered[1])) if covered else (0, 0),
        tuple(CRASHED.findall(output)),
        failed,
    )


def print_line(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(seconds: str, *names: str) -> int:
    print_line(TABLE_HEAD)
    runs = []
    for name in names or TARGETS:
        runs.append(fuzz(TARGETS[name], int(seconds)))
        print_line(runs[-1])
    print_line(f"{'all':<14}{sum(run.executions for run in runs):>12}")
    for crash in (crash for run in runs for crash in run.crashes):
        print_line(f"failed: {crash}")
    return int(any(run.failed for run in runs))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
