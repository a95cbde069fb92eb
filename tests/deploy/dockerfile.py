"""A Dockerfile, carried out without a container engine, as far as ours goes: a folder plays the file system of each
stage, programs are those of this machine, and the base images are taken for granted.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import STDOUT, check_output
from typing import NamedTuple

RUN_SECONDS = 300.0


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions(text: str) -> Iterator[Instruction]:
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in uncommented.replace("\\\n", " ").splitlines():
        if line.strip():
            yield Instruction(*line.split(maxsplit=1))


class Stage:
    """What one FROM and the instructions after it make: files in `root`, an environment, and commands by their word."""

    def __init__(
        self, root: Path, context: Path, environment: Mapping[str, str], before: Mapping[str, "Stage"]
    ) -> None:
        self.root = root
        self.environment = dict(environment)
        self.commands: dict[str, list[str]] = {}
        self._context = context
        self._before = before
        self._folder = root

    def carry_out(self, instruction: Instruction) -> None:
        """Words that change neither files nor processes are passed over."""
        if act := getattr(self, f"_{instruction.word.lower()}", None):
            act(instruction.rest)

    def _workdir(self, path: str) -> None:
        self._folder = self._inside(path)
        self._folder.mkdir(parents=True)

    def _env(self, pairs: str) -> None:
        self.environment |= dict(pair.split("=", 1) for pair in self._here(pairs).split())

    def _run(self, command: str) -> None:
        shell = ["sh", "-c", self._here(command)]
        check_output(shell, cwd=self._folder, env=self.environment, stderr=STDOUT, timeout=RUN_SECONDS)

    def _copy(self, rest: str) -> None:
        *words, target = rest.split()
        stage = next((self._before[word.removeprefix("--from=")] for word in words if word.startswith("--from=")), None)
        origin = self._context if stage is None else stage.root
        for source in (word for word in words if not word.startswith("--")):
            copy(origin / source.lstrip("/"), self._inside(target), into=target.endswith("/"))

    def _exec(self, word: str, rest: str) -> None:
        self.commands[word] = json.loads(self._here(rest[rest.index("[") :]))

    def _entrypoint(self, rest: str) -> None:
        self._exec("ENTRYPOINT", rest)

    def _cmd(self, rest: str) -> None:
        self._exec("CMD", rest)

    def _healthcheck(self, rest: str) -> None:
        self._exec("HEALTHCHECK", rest)

    def _inside(self, path: str) -> Path:
        return self.root / path.lstrip("/") if path.startswith("/") else self._folder / path

    def _here(self, text: str) -> str:
        """With /app, the one folder of ours that is named by its full path, where it is on this machine."""
        return re.sub(r"(?<![\w./])/app\b", str(self.root / "app"), text)


def copy(source: Path, target: Path, *, into: bool) -> None:
    """As COPY does: the content of a folder, or a file, into `target` or under that name."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    target.mkdir(parents=True, exist_ok=True) if into else target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def build(dockerfile: Path, context: Path, folder: Path, environment: Mapping[str, str]) -> Stage:
    """The last stage. `environment` is that of the machine; raises CalledProcessError where a step fails."""
    stages: dict[str, Stage] = {}
    for instruction in instructions(dockerfile.read_text()):
        if instruction.word == "FROM":
            name = instruction.rest.partition(" AS ")[2] or "last"
            stages[name] = Stage(folder / name, context, environment, dict(stages))
        else:
            list(stages.values())[-1].carry_out(instruction)
    return stages["last"]
