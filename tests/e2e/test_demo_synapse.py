"""`make demo-synapse`: three real Synapses and the exporter, driven through the menu, by a pipe."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.demo.faults import FAULTS, Fault
from deploy.demo.federation import NAMES
from exporter.model import durations
from exporter.model.reasons import Reason
from tests.e2e.synapse import PYTHON
from tests.programs import program
from tests.waiting import PATIENCE, slowness, until, until_async

pytestmark = pytest.mark.synapse

ROOT = Path(__file__).parents[2]
INTERVAL_SECONDS = 10.0
MAX_SLOWNESS = 4.0  # the test takes ten intervals, and pytest ends it after ten minutes
WAVES = (FAULTS[:3], FAULTS[3:])
"""Each fault of a wave breaks another homeserver, so they can be broken at the same time."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path, which the names of Unix sockets need."""
    with TemporaryDirectory() as created:
        yield Path(created)


@dataclass
class RunningDemo:
    """The demo in a process of its own, as in a terminal."""

    process: Process
    printed: list[str] = field(default_factory=list)
    """The lines of its output."""

    async def read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.printed.append(line.decode().rstrip())

    def said(self, text: str) -> str | None:
        """Return the first line with a text, if there is one."""
        return next((line for line in self.printed if text in line), None)

    async def page(self) -> str:
        """Return the address of the exporter, when everything is running."""
        line = await until(lambda: self.said("http://") or ("" if self.process.returncode is None else "it has ended"))
        found = re.search(r"http://\S+(?=/$)", line)
        assert found, line
        return found[0]

    async def choose(self, faults: Sequence[Fault], becomes: str) -> None:
        """Type the numbers of faults, and return when the demo says that all have become `broken` or `repaired`."""
        assert self.process.stdin
        seen = len(self.printed)
        self.process.stdin.write("".join(f"{FAULTS.index(fault) + 1}\n" for fault in faults).encode())
        told = [f"{becomes:<10}{fault.server_name}: {fault.text}" for fault in faults]
        await until(lambda: all(any(text in line for line in self.printed[seen:]) for text in told))

    async def shows_broken(self, number: int) -> None:
        """Return when the menu, which any other input shows, marks so many faults as broken."""
        assert self.process.stdin
        seen = len(self.printed)
        self.process.stdin.write(b"?\n")
        await until(lambda: sum("<- broken" in line for line in self.printed[seen:]) == number)

    def children(self) -> list[int]:
        """Return the process IDs of the Synapses."""
        lists = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for pids in lists for pid in pids.read_text().split()]


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[RunningDemo]:
    """Run it. All its files are in `folder`, and its arguments override those of the test."""
    program(str(PYTHON))
    interval = durations.text(INTERVAL_SECONDS * min(slowness(), MAX_SLOWNESS))
    options = ["--interval", interval, "--web.listen-address", "127.0.0.1:0", *arguments]
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "deploy.demo", *options),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    running = RunningDemo(process)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
        await reading
        sys.stdout.write("\n".join(running.printed))  # pytest shows it if the test fails


@dataclass(frozen=True, slots=True)
class Found:
    """What `/metrics` says about a server."""

    probes: int
    problems: frozenset[tuple[str, str]]
    warnings: frozenset[str]
    passed: frozenset[str]
    """The stages that succeeded."""


async def scrape(client: httpx.AsyncClient, name: str) -> Found | None:
    """Return what the exporter has found, or None before the first result."""
    text = (await client.get("/metrics")).text
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("server_name") == name
    ]
    values = {sample.name.removeprefix("matrix_federation_"): sample.value for sample in samples}
    if "probe_success" not in values:
        return None
    return Found(
        int(values["probes_total"]),
        frozenset((each.labels["probe_stage"], each.labels["reason"]) for each in samples if "reason" in each.labels),
        frozenset(each.labels["warning"] for each in samples if "warning" in each.labels),
        frozenset(
            each.labels["probe_stage"] for each in samples if each.name.endswith("_stage_success") and each.value
        ),
    )


async def follows(client: httpx.AsyncClient, fault: Fault, becomes: str) -> None:
    """Wait until the exporter finds exactly what is expected: by the first probe that begins afterwards.

    Probes that a Synapse answers too late, because the machine is busy, say nothing.
    """
    problems = frozenset(fault.expected if becomes == "broken" else ())
    late: set[int] = set()

    async def latest() -> list[Found]:
        found = await scrape(client, fault.server_name)
        if found and any(reason == Reason.HTTP_TIMEOUT for _, reason in found.problems):
            late.add(found.probes)
        return [found] if found and found.problems == problems else []

    earlier = await scrape(client, fault.server_name)
    (found,) = await until_async(latest)
    assert earlier
    telling = set(range(earlier.probes + 1, found.probes + 1)) - late
    assert len(telling) <= 2, fault  # one of them may have begun before
    assert found.warnings == frozenset(fault.warnings if becomes == "broken" else ())


async def reaches_the_exporter(client: httpx.AsyncClient, name: str) -> bool:
    """Return whether everything about a server is as it should be, in both directions."""
    found = await scrape(client, name)
    return found is not None and "outbound" in found.passed and not (found.problems or found.warnings)


async def test_every_break_is_named_and_every_repair_is_seen_within_an_interval(folder: Path) -> None:
    """The messages arrive first, and Ctrl-C ends it, with every Synapse and every file."""
    async with (
        demo(folder) as running,
        httpx.AsyncClient(base_url=await running.page(), trust_env=False, timeout=PATIENCE) as client,
    ):
        assert [len(re.findall("has arrived", line)) for line in running.printed if "'Hello" in line] == [1, 1, 1]
        for name in NAMES:
            await until_async(partial(reaches_the_exporter, client, name))
        for wave in WAVES:
            for becomes in ("broken", "repaired"):
                await running.choose(wave, becomes)
                await asyncio.gather(*(follows(client, fault, becomes) for fault in wave))
                await running.shows_broken(len(wave) if becomes == "broken" else 0)
        synapses = running.children()
        running.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(running.process.wait(), PATIENCE) == 0
    assert len(synapses) == len(NAMES)
    assert leftovers(synapses, folder) == []
    for fault in FAULTS:
        told = ", ".join(f"{stage} {reason}" for stage, reason in sorted(fault.expected))
        assert running.said(f"exporter  {fault.server_name}: {told}")


def leftovers(synapses: Sequence[int], folder: Path) -> list[int | Path]:
    """Return what a demo has left behind: processes and files."""
    return [*filter(is_running, synapses), *folder.iterdir()]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_nothing_is_left_of_a_demo_that_is_stopped_while_it_starts(folder: Path) -> None:
    """Ctrl-C does not have to wait for the Synapses."""
    async with demo(folder) as running:
        synapses = await until(lambda: pids if len(pids := running.children()) == len(NAMES) else [])
        running.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(running.process.wait(), PATIENCE) == 0
        assert leftovers(synapses, folder) == []
    assert not running.said("http://")


async def test_the_synapses_end_even_if_the_demo_is_killed(folder: Path) -> None:
    """Only its files are left then."""
    async with demo(folder) as running:
        synapses = await until(lambda: pids if len(pids := running.children()) == len(NAMES) else [])
        running.process.kill()
        assert await until(lambda: not any(map(is_running, synapses)))


async def ends(folder: Path, *arguments: str) -> tuple[int | None, list[str]]:
    """Return the status and the output of a demo that cannot run."""
    async with demo(folder, *arguments) as running:
        await asyncio.wait_for(running.process.wait(), PATIENCE)
    return running.process.returncode, running.printed


async def test_says_what_is_missing(folder: Path) -> None:
    """Before anything is started."""
    python = folder / "bin" / "python"
    complaint = f"demo-synapse: there is no {python}: `make demo-synapse` installs Synapse"
    assert await ends(folder, "--synapse", str(python)) == (1, [complaint])


async def test_says_which_port_is_in_use(folder: Path) -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, printed = await ends(folder, "--web.listen-address", address)
    why = "another program is already listening there: stop it, or choose another address"
    complaint = f"demo-synapse: cannot listen on {address}: {why} (choose the address with --web.listen-address)"
    assert (status, printed) == (1, [complaint])
