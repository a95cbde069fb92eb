"""`check` over the lab: real DNS messages, real TLS, real processes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
import pytest_asyncio
import yaml

from exporter import check
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Request, Response
from exporter.demo.servers import many
from tests.waiting import PATIENCE

HEALTHY, OVER_SRV, EXPIRED, REFUSED = (
    "well-known-port.lab.test",
    "srv.lab.test",
    "expired.lab.test",
    "refused.lab.test",
)
SILENT = "black-hole.lab.test"
CHOSEN = (HEALTHY, OVER_SRV, EXPIRED, REFUSED, SILENT)

BEGINNING = """
import sys
from pathlib import Path
from exporter import check
"""
END = """
sys.exit(check.run(sys.argv[3:], Path(sys.argv[1]), as_json=sys.argv[2] == "json"))
"""
INTERRUPTED_UNHEARD = """
import signal, threading

def interrupt():
    sys.stdin.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
"""
"""The signal comes to another thread, so that the one that sleeps is not woken: as when it comes just before."""
ABOUT_OUTPUT = ("NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "PYTHONUTF8")
GREEN = b"\x1b[32m"


@pytest_asyncio.fixture
async def federation() -> AsyncIterator[Federation]:
    async with Federation([server for server in SERVERS if server.server_name in CHOSEN]) as federation:
        yield federation


@pytest.fixture
def config_file(federation: Federation, tmp_path: Path) -> Path:
    return written(federation.config(), tmp_path)


def written(config: dict[str, Any], folder: Path) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


async def run(config_file: Path, *servers: str, as_json: bool = True) -> int:
    """In a thread, as it has an event loop of its own."""
    return await asyncio.to_thread(check.run, servers, config_file, as_json=as_json)


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """One a line; standard error is silent."""
    shown = capsys.readouterr()
    assert shown.err == ""
    return [json.loads(line) for line in shown.out.splitlines()]


@asynccontextmanager
async def program(
    config_file: Path, output_format: str, *servers: str, stdout: int = PIPE, before: str = "", **environment: str
) -> AsyncIterator[Process]:
    """`check` as a process of its own, which is gone afterwards."""
    inherited = {name: value for name, value in os.environ.items() if name not in ABOUT_OUTPUT}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BEGINNING + before + END, str(config_file), output_format, *servers),
        stdin=PIPE,
        stdout=stdout,
        stderr=PIPE,
        env={**inherited, "TERM": "xterm", "PYTHONUTF8": "1", **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# ---------------------------------------------------------------- exit statuses


async def test_succeeds_where_all_federate(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one report for each, in the order given."""
    assert await run(config_file, OVER_SRV, HEALTHY) == 0
    assert [(seen["server_name"], seen["federation_ok"], seen["problems"]) for seen in reports(capsys)] == [
        (OVER_SRV, True, []),
        (HEALTHY, True, []),
    ]


async def test_fails_where_some_do_not_federate(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The healthy ones are reported all the same."""
    assert await run(config_file, EXPIRED, HEALTHY, REFUSED) == 1
    found = {
        seen["server_name"]: [
            (problem["stage"], problem["reason"], problem["endpoint"]) for problem in seen["problems"]
        ]
        for seen in reports(capsys)
    }
    assert found == {
        EXPIRED: [("tls", "certificate_expired", "192.0.2.101:8448")],
        HEALTHY: [],
        REFUSED: [("tcp", "connect_refused", "192.0.2.105:8448")],
    }


async def test_refuses_what_is_no_server_name(
    federation: Federation, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every complaint at once, harmless on a terminal, and before anything is probed."""
    assert await run(config_file, HEALTHY, "https://example.org", "a\x1b[31m") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "'https://example.org' is no server name: a server name is no URL: leave the scheme and the path away",
        "'a\N{REPLACEMENT CHARACTER}[31m' is no server name: only letters, digits, '-' and '.' are allowed in a name",
    ]
    assert not federation.dns.questions


async def test_refuses_a_bad_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place of each complaint."""
    file = written({"servers": [HEALTHY], "probe": {"timeuot": "3s"}}, tmp_path)
    assert await run(file, HEALTHY) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{file}:2: probe.timeuot: unknown key")


def test_needs_no_configuration(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Then only public addresses are connected to: this one is refused before a packet is sent."""
    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", lambda self, _: name_servers(self, "192.0.2.53"))
    assert check.run(["127.0.0.1"], None, as_json=True) == 1
    (report,) = reports(capsys)
    assert [(problem["stage"], problem["reason"]) for problem in report["problems"]] == [("tcp", "blocked_address")]


def name_servers(resolver: dns.resolver.BaseResolver, *addresses: str) -> None:
    """What the system has: none are an error of dnspython's."""
    if not addresses:
        raise dns.resolver.NoResolverConfiguration
    resolver.nameservers = list(addresses)


def test_says_so_where_the_system_has_no_dns_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container without network, where the configuration names none either."""
    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", lambda self, _: name_servers(self))
    assert check.run(["example.org"], None, as_json=True) == 2
    assert capsys.readouterr() == (
        "",
        "/etc/resolv.conf: expected a DNS server, found none: name some in `network.resolvers`\n",
    )


# ---------------------------------------------------------------- many at once


async def test_servers_are_probed_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of ten servers answers before all of them are asked."""
    asked, all_are_asked, answer = set[str](), asyncio.Event(), Homeserver.answer

    async def answer_together(self: Homeserver, request: Request) -> Response:
        asked.add(self.server_name)
        if len(asked) == 10:
            all_are_asked.set()
        await all_are_asked.wait()
        return await answer(self, request)

    monkeypatch.setattr(Homeserver, "answer", answer_together)
    async with Federation(many(10)) as federation:
        names = [server.server_name for server in federation.servers]
        assert await run(written(federation.config(), tmp_path), *names) == 0
    assert [report["server_name"] for report in reports(capsys)] == names


async def test_concurrency_is_that_of_the_configuration(
    federation: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a concurrency of 1, nothing is asked about the second before the first is done."""
    file = written({**federation.config(), "probe": {"concurrency": 1}}, tmp_path)
    assert await run(file, EXPIRED, OVER_SRV) == 1
    asked_for_second = [OVER_SRV in question.name for question in federation.dns.questions]
    assert asked_for_second == sorted(asked_for_second)
    assert set(asked_for_second) == {False, True}
    assert len(reports(capsys)) == 2


# ---------------------------------------------------------------- text


async def test_text_ends_with_a_sum_where_there_are_several(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each report has its headline, and a blank line below."""
    assert await run(config_file, HEALTHY, EXPIRED, as_json=False) == 1
    shown = capsys.readouterr().out
    first, second, last = shown.split("\n\n")
    assert first.startswith(f"✓ {HEALTHY} federates (")
    assert second.startswith(f"✗ {EXPIRED} does not federate (")
    assert second.splitlines()[0].endswith("): certificate_expired")
    assert last == "1 of 2 servers federate.\n"


async def test_text_of_one_server_is_its_report(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What happened is said in the words of the system, and what to do below it."""
    assert await run(config_file, REFUSED, as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "│   │     connect_refused: Connection refused" in lines
    assert "│   └── \N{EN DASH} tls, version, keys skipped: not reached" in lines


async def test_looks_deep_each_time(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks once wants to know it all."""
    assert await run(config_file, OVER_SRV) == 0
    (report,) = reports(capsys)
    assert report["deep_look"]["well_known_by_address"] == {"192.0.2.8:443": "no delegation"}
    assert [stage["stage"] for stage in report["endpoints"][0]["stages"]][-1] == "proxy"


# ---------------------------------------------------------------- as a process


async def test_ends_at_once_on_ctrl_c(federation: Federation, tmp_path: Path) -> None:
    """In the middle of a probe, with the status of an interrupted program and no traceback."""
    file = written({**federation.config(), "probe": {"timeout": "60s"}}, tmp_path)
    async with program(file, "json", SILENT) as process, asyncio.timeout(PATIENCE):
        while not federation.dns.questions:  # noqa: ASYNC110 - they are noted, and not announced
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert await process.communicate() == (b"", b"")
        assert process.returncode == 128 + signal.SIGINT


async def test_ctrl_c_wakes_it_up(federation: Federation, tmp_path: Path) -> None:
    """Where it came in the moment before it fell asleep, to wait for an answer for minutes."""
    file = written({**federation.config(), "probe": {"timeout": "240s"}}, tmp_path)
    async with program(file, "json", SILENT, before=INTERRUPTED_UNHEARD) as process, asyncio.timeout(PATIENCE):
        asleep = 0
        while asleep < 20:  # no lookup takes so long
            await asyncio.sleep(0.01)
            asleep = asleep + 1 if federation.dns.questions and is_asleep(process.pid) else 0
        assert await process.communicate(b"now") == (b"", b"")
        assert process.returncode == 128 + signal.SIGINT


def is_asleep(pid: int) -> bool:
    _, _, after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return after_name.split()[0] == "S"


@pytest.mark.parametrize("output_format", ["text", "json"])
async def test_a_reader_may_leave_early(config_file: Path, output_format: str) -> None:
    """As `head` does: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    async with program(config_file, output_format, EXPIRED, stdout=writing) as process, asyncio.timeout(PATIENCE):
        os.close(writing)
        _, complaints = await process.communicate()
        assert (process.returncode, complaints) == (1, b"")


async def test_colours_are_for_terminals(config_file: Path) -> None:
    """Elsewhere not a single escape sequence is written."""
    async with program(config_file, "text", HEALTHY) as process, asyncio.timeout(PATIENCE):
        plain, _ = await process.communicate()
    assert b"\x1b" not in plain
    assert GREEN in await on_terminal(config_file)


async def test_no_color_is_honoured(config_file: Path) -> None:
    """On a terminal, too."""
    assert GREEN not in await on_terminal(config_file, NO_COLOR="1")


async def test_ascii_is_enough(config_file: Path) -> None:
    """For terminals and logs that can bear nothing else."""
    async with program(config_file, "text", EXPIRED, PYTHONIOENCODING="ascii") as process:
        async with asyncio.timeout(PATIENCE):
            plain, complaints = await process.communicate()
    assert complaints == b""
    assert plain.decode("ascii").startswith("x expired.lab.test does not federate (")


async def on_terminal(config_file: Path, **environment: str) -> bytes:
    """What a terminal receives."""
    terminal, writing = os.openpty()
    try:
        async with program(config_file, "text", HEALTHY, stdout=writing, **environment) as process:
            os.close(writing)
            async with asyncio.timeout(PATIENCE):
                received = await asyncio.to_thread(read_terminal, terminal)
                await process.wait()
    finally:
        os.close(terminal)
    return received


def read_terminal(terminal: int) -> bytes:
    """Until the last program at its other side is gone, which Linux reports as EIO."""
    received = b""
    with suppress(OSError):
        while content := os.read(terminal, 65536):
            received += content
    return received
