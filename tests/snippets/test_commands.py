"""Every command in the documentation is run, with names and addresses of the lab, or it stands here why not."""

import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import anyio
import pytest

from exporter import DISTRIBUTION
from exporter.cli import parser
from exporter.demo.federation import Federation
from exporter.outbound.signing import generate_seed
from tests.e2e.processes import log_on_failure, running_program
from tests.embedded_federation import write_config
from tests.snippets.collecting import ROOT, of_kind
from tests.waiting import PATIENCE, until
from tests.web.lab_site import HEALTHY, lab_site

pytestmark = [pytest.mark.subprocess, pytest.mark.system("jq")]

NOT_RUN: Final = {
    "apt": "there is no release yet; tests/deploy/test_debian.py installs the package",
    "cat": "shows a file of your machine",
    "check_http": "a plugin of Nagios; tests/deploy/test_migrate.py requests the URL",
    "curl -6sv https": "asks your server",
    "curl -si https": "asks your server",
    "curl -sv https": "asks your server",
    "curl -v --proxy": "asks your proxy",
    "docker": "needs a container engine; tests/deploy/test_docker.py carries out what it does",
    "env": "shows variables of your homeserver",
    "for": "makes a machine busy, for `make test`",
    "helm": "needs a cluster; tests/deploy/test_helm.py renders the chart",
    "install": "writes into the machine; tests/deploy/test_debian.py installs the same files",
    "ip": "shows the routes of your machine",
    "journalctl": "needs the journal of systemd; tests/deploy/test_runbooks.py compares what is searched with the code",
    "kubectl": "needs a cluster",
    "ln": "as `install`",
    "openssl": "asks your server, or measures your machine; tests/bench/handshakes.py does the latter",
    "python": "runs for minutes; the modules are those of tests/",
    "python3": "tests/deploy/test_installation.py runs it, with the lines after it",
    "pip": "as `python3`",
    "sed": "tests/deploy/test_migrate.py runs it",
    "systemctl": "needs systemd; tests/deploy/test_systemd.py lets systemd read the unit",
    "timedatectl": "needs systemd",
}
"""Commands that these tests do not run, by their beginning, and why."""
COMMANDS: Final = sorted({command.partition(" #")[0].strip() for each in of_kind("sh") for command in each.commands})
NAMES: Final = r"SERVER|PROBE|\bexample\.org|\bmatrix\.org|\bchat\.(?:plant\.)?corp\.example"
"""Servers in commands, instead of which a server of the lab is probed."""
PATHS: Final = rf"/etc/(?:prometheus/|{DISTRIBUTION}/)"
"""Folders in commands, instead of which the working directory is used."""


def beginning(command: str) -> str:
    """Return the name of the program, without its folder and variables; of curl, the option and the scheme too."""
    words = re.sub(r'\w+=(".*?"|\S+) ', "", command).split()
    name = words[0].rpartition("/")[2]
    return f"{name} {words[1]} {words[2].partition(':')[0]}" if name == "curl" else name


def by(name: str) -> list[str]:
    found = [command for command in COMMANDS if beginning(command).split()[0] == name]
    assert found
    return found


def test_every_command_is_run_or_it_stands_here_why_not() -> None:
    """A reason that is not needed any more is noticed too."""
    run = {DISTRIBUTION, "make", ".", "curl -s 'http", "curl -s http", "curl -si 'http"}
    others = {beginning(command) for command in COMMANDS} - run
    assert others == NOT_RUN.keys()


# ---------------------------------------------------------------- make


@pytest.mark.parametrize("command", by("make"))
def test_make_has_the_target(command: str) -> None:
    """tests/deploy/test_installation.py runs `make demo`, and CI runs `make test`. The others take too long, or need
    people who look at what they print.
    """
    words = command[command.index("make ") :].split()
    assert [target for target in words[1:] if f"\n{target}: " not in (ROOT / "Makefile").read_text()] == []


# ---------------------------------------------------------------- the exporter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the command, and with the files that commands read."""
    command = tmp_path / DISTRIBUTION
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m exporter "$@"\n')
    command.chmod(0o700)
    (tmp_path / "values.yaml").write_text("job: federation\n")
    (tmp_path / "signing.key").write_text(str(generate_seed()))
    (tmp_path / "signing.key").chmod(0o600)
    return tmp_path


def adapt(command: str, folder: Path, address: str = "") -> str:
    """Return the command with the names, the paths and the address of the test, and with the network of the lab."""
    command = re.sub(NAMES, HEALTHY.server_name, re.sub(PATHS, "./", command))
    command = re.sub(rf"\S*\b{DISTRIBUTION}(?= )", shlex.quote(str(folder / DISTRIBUTION)), command)
    if " check " in command and "--config" not in command:
        command += " --config config.yaml"
    return command.replace("127.0.0.1:10448", address) if address else command


async def run(command: str, folder: Path) -> "CompletedProcess[bytes]":
    """Run it in a shell, in which every part of a pipe must succeed."""
    return await anyio.run_process(["bash", "-eo", "pipefail", "-c", command], cwd=folder, check=False)


def commands_of_the_exporter(*, serve: bool) -> list[str]:
    """Return those of the command `serve`, or all others."""
    runs = {command: parser().parse_args(shlex.split(command)[1:]).run.__name__ for command in by(DISTRIBUTION)}
    return [command for command, run in runs.items() if (run == "_serve") is serve]


@pytest.mark.lab
@pytest.mark.parametrize("command", commands_of_the_exporter(serve=False))
async def test_commands_of_the_exporter_succeed(command: str, folder: Path) -> None:
    """With a configuration of the lab, and a server that federates. A signing key is created only once."""
    outbound = {"server_name": "probe.lab.test", "signing_key_file": "signing.key", "listen": ["127.0.0.1:0"]}
    async with Federation([HEALTHY]) as federation:
        write_config(folder / "config.yaml", federation, outbound=outbound, web={})
        if "generate-signing-key" in command:
            (folder / "signing.key").unlink()
        ran = await run(adapt(command, folder), folder)
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout


@pytest.mark.lab
@pytest.mark.parametrize("command", commands_of_the_exporter(serve=True))
async def test_serve_starts(command: str, folder: Path) -> None:
    """By each command line that the documentation has."""
    async with Federation([HEALTHY]) as federation:
        write_config(folder / "config.yaml", federation)
        shell = ["sh", "-c", f"cd {folder} && exec {adapt(command, folder)}"]
        with running_program(shell, folder / "log", {}), log_on_failure(folder / "log"):
            assert await until(lambda: re.search(r"addresses=\S+", (folder / "log").read_text()))


# ---------------------------------------------------------------- curl


@asynccontextmanager
async def probed_site(folder: Path) -> AsyncIterator[str]:
    """Yield the address of an exporter that has probed its server."""
    async with lab_site(folder, HEALTHY) as site:
        await site.report(HEALTHY, fresh="true")
        yield str(site.app.addresses[0])


@pytest.mark.lab
async def test_requests_are_answered(folder: Path) -> None:
    """None of them is an error; jq finds what it looks for, unless there is nothing."""
    requests = [command for command in by("curl") if "http://127.0.0.1:10448" in command]
    assert len(requests) > 5
    async with probed_site(folder) as address:
        with anyio.fail_after(PATIENCE):
            ran = {
                each: await run(adapt(each, folder, address).replace("curl ", "curl --fail "), folder)
                for each in requests
            }
    assert {command: each.stderr.decode() for command, each in ran.items() if each.returncode} == {}
    empty = [command for command, each in ran.items() if not each.stdout]
    assert [command for command in empty if not re.search("problems|changes|state=none", command)] == []
