"""The command `check` with the embedded federation: real DNS messages, real TLS, real processes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from structlog.testing import capture_logs

from exporter import check
from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Request, Response, Site
from tests.lab.connect_proxy import connect_proxy, demand
from tests.lab.crowd import crowd
from tests.outbound.both_ways import both_ways
from tests.outbound.both_ways import configure as configure_outbound
from tests.waiting import PATIENCE

pytestmark = pytest.mark.subprocess

HEALTHY, OVER_SRV, EXPIRED, REFUSED = (
    "well-known-port.lab.test",
    "srv.lab.test",
    "expired.lab.test",
    "refused.lab.test",
)
SILENT = "black-hole.lab.test"
SERVER_NAMES = (HEALTHY, OVER_SRV, EXPIRED, REFUSED, SILENT)

BEGINNING = """
import sys
from pathlib import Path
from exporter import check
"""
END = """
sys.exit(check.run(sys.argv[3:], Path(sys.argv[1]), as_json=sys.argv[2] == "json"))
"""
INTERRUPTED_IN_A_THREAD = """
import signal, threading

def interrupt():
    sys.stdin.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
"""
"""Another thread handles the signal, so that it does not wake the sleeping one, as if it had arrived just before."""
OUTPUT_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "PYTHONUTF8")
GREEN = b"\x1b[32m"


@pytest_asyncio.fixture
async def federation() -> AsyncIterator[Federation]:
    async with Federation([server for server in SERVERS if server.server_name in SERVER_NAMES]) as federation:
        yield federation


@pytest.fixture
def config_file(federation: Federation, tmp_path: Path) -> Path:
    return write_config(federation.config(), tmp_path)


def write_config(config: dict[str, Any], folder: Path) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


async def run(config_file: Path, *servers: str, as_json: bool = True, outbound: bool = False) -> int:
    """Run the command in a thread, because it starts its own event loop, and return its exit status."""
    return await asyncio.to_thread(check.run, servers, config_file, as_json=as_json, outbound=outbound)


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the reports on standard output, one per line. Standard error must be empty."""
    shown = capsys.readouterr()
    assert shown.err == ""
    return [json.loads(line) for line in shown.out.splitlines()]


@asynccontextmanager
async def program(
    config_file: Path, output_format: str, *servers: str, stdout: int = PIPE, before: str = "", **environment: str
) -> AsyncIterator[Process]:
    """Run the command as a process, which is killed at the end."""
    inherited = {name: value for name, value in os.environ.items() if name not in OUTPUT_VARIABLES}
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


# ---------------------------------------------------------------- exit status


async def test_status_is_0_if_all_federate(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is one report for each server, in the given order."""
    assert await run(config_file, OVER_SRV, HEALTHY) == 0
    assert [(seen["server_name"], seen["federation_ok"], seen["problems"]) for seen in reports(capsys)] == [
        (OVER_SRV, True, []),
        (HEALTHY, True, []),
    ]


async def test_status_is_1_if_some_do_not_federate(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The healthy servers are reported too."""
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


async def test_status_is_2_for_invalid_server_names(
    federation: Federation, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them are reported, without escape sequences, and nothing is probed."""
    assert await run(config_file, HEALTHY, "https://example.org", "a\x1b[31m") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    allowed_characters = "only letters, digits, '-' and '.' are allowed in a name"
    assert shown.err.splitlines() == [
        "'https://example.org' is not a server name: this is a URL: drop the scheme and the path",
        f"'a\N{REPLACEMENT CHARACTER}[31m' is not a server name: {allowed_characters}",
    ]
    assert not federation.dns.questions


async def test_status_is_2_for_an_invalid_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each complaint has its line."""
    file = write_config({"servers": [HEALTHY], "probe": {"timeuot": "3s"}}, tmp_path)
    assert await run(file, HEALTHY) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{file}:2: probe.timeuot: unknown key")


async def test_a_proxy_that_fails_is_told(
    federation: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise the servers would be blamed. Through one that works, they are probed as usual."""
    async with connect_proxy() as proxy:
        settings = federation.config()
        settings["network"]["proxy"] = proxy.url
        file = write_config(settings, tmp_path)
        assert await run(file, HEALTHY) == 0
        (report,) = reports(capsys)
        assert report["endpoints"][0]["stages"][0]["stage"] == "tunnel"
        proxy.rule = demand("user:hunter2")
        assert await run(file, HEALTHY, OVER_SRV) == 1
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith(
            f"the proxy {proxy.address} answers 407 Who are you, as it gets no credentials. This says"
        )


def test_a_configuration_is_not_required(capsys: pytest.CaptureFixture[str]) -> None:
    """The defaults apply, and this address is refused because it is not public."""
    assert check.run(["127.0.0.1"], None, as_json=True) == 1
    (report,) = reports(capsys)
    assert [(problem["stage"], problem["reason"]) for problem in report["problems"]] == [("tcp", "blocked_address")]


def test_a_resolver_that_does_not_answer_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the DNS servers of the zone would be blamed, as if they did not answer."""
    file = write_config({"servers": ["example.org"], "network": {"resolvers": ["127.0.0.1:1"]}}, tmp_path)
    assert check.run(["example.org"], file, as_json=True) == 1
    assert capsys.readouterr().err == f"{check.NO_RESOLVER_ANSWERS}\n"


# ---------------------------------------------------------------- as a plugin of Nagios


@pytest.mark.parametrize(
    ("servers", "status", "line"),
    [
        ((HEALTHY,), 0, f"MATRIX FEDERATION OK: {HEALTHY} federates | 'time'="),
        (
            (HEALTHY, EXPIRED),
            2,
            "MATRIX FEDERATION CRITICAL: 1 of 2 servers are fine; expired.lab.test does not federate",
        ),
        (("https://example.org",), 3, "MATRIX FEDERATION UNKNOWN: 'https://example.org' is not a server name: "),
    ],
)
async def test_nagios_gets_its_statuses(
    config_file: Path, capsys: pytest.CaptureFixture[str], servers: Sequence[str], status: int, line: str
) -> None:
    """The first line says what is wrong, and everything is on standard output."""
    assert await asyncio.to_thread(check.run_nagios, servers, config_file) == status
    shown = capsys.readouterr()
    assert (shown.out[: len(line)], shown.err) == (line, "")


def test_nagios_is_not_told_of_servers_while_no_resolver_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor if the configuration is invalid, or the exporter is wrong."""
    file = write_config({"servers": ["example.org"], "network": {"resolvers": ["127.0.0.1:1"]}}, tmp_path)
    assert check.run_nagios(["example.org"], file) == 3
    assert capsys.readouterr().out == f"MATRIX FEDERATION UNKNOWN: {check.NO_RESOLVER_ANSWERS}\n"
    assert check.run_nagios(["example.org"], tmp_path / "missing.yaml") == 3
    assert capsys.readouterr().out.startswith("MATRIX FEDERATION UNKNOWN: ")


def test_nagios_is_told_of_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without this, the status of a traceback would be that of a warning."""
    monkeypatch.setattr(check, "_probe_all", lambda *_, **__: 1 / 0)
    with capture_logs() as logs:
        assert check.run_nagios(["example.org"], None) == 3
    assert capsys.readouterr().out.startswith("MATRIX FEDERATION UNKNOWN: internal error: ZeroDivisionError")
    assert [entry["event"] for entry in logs] == ["internal error"]


# ---------------------------------------------------------------- several servers


async def test_servers_are_probed_concurrently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No server responds before all ten have received a request."""
    requested, all_requested = set[str](), asyncio.Event()

    def respond_together(homeserver: Homeserver) -> Site:
        async def respond(request: Request) -> Response:
            requested.add(homeserver.server_name)
            if len(requested) == 10:
                all_requested.set()
            await all_requested.wait()
            return await homeserver.respond(request)

        return Site(fallback=respond)

    async with Federation(crowd(10, proxy=respond_together)) as federation:
        names = [server.server_name for server in federation.servers]
        assert await run(write_config(federation.config(), tmp_path), *names) == 0
    assert [report["server_name"] for report in reports(capsys)] == names


async def test_concurrency_is_limited_by_the_configuration(
    federation: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a concurrency of 1, the second server is probed after the first."""
    file = write_config({**federation.config(), "probe": {"concurrency": 1}}, tmp_path)
    assert await run(file, EXPIRED, OVER_SRV) == 1
    is_second = [OVER_SRV in question.name for question in federation.dns.questions]
    assert is_second == sorted(is_second)
    assert set(is_second) == {False, True}
    assert len(reports(capsys)) == 2


# ---------------------------------------------------------------- text


async def test_text_about_several_servers_ends_with_a_summary(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is a blank line after each report."""
    assert await run(config_file, HEALTHY, EXPIRED, as_json=False) == 1
    shown = capsys.readouterr().out
    first, second, last = shown.split("\n\n")
    assert first.startswith(f"✓ {HEALTHY} federates (")
    assert second.startswith(f"✗ {EXPIRED} does not federate (")
    assert second.splitlines()[0].endswith("): certificate_expired")
    assert last == "1 of 2 servers federate, 1 not at all.\n"


async def test_text_about_one_server_is_its_report(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The detail of a problem is the error message of the system."""
    assert await run(config_file, REFUSED, as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "│   │     connect_refused: Connection refused" in lines
    assert "│   └── \N{EN DASH} tls, version, keys skipped: not reached" in lines


async def test_every_probe_includes_a_deep_look(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`probe.deep_interval` does not apply."""
    assert await run(config_file, OVER_SRV) == 0
    (report,) = reports(capsys)
    assert report["deep_look"]["well_known_by_address"] == {}  # there is one address, which the probe has seen
    assert [stage["stage"] for stage in report["endpoints"][0]["stages"]][-1] == "proxy"


# ---------------------------------------------------------------- as a process


async def test_ctrl_c_ends_it_immediately(federation: Federation, tmp_path: Path) -> None:
    """During a probe, it ends with the status of an interrupted program and without a traceback."""
    file = write_config({**federation.config(), "probe": {"timeout": "60s"}}, tmp_path)
    async with program(file, "json", SILENT) as process, asyncio.timeout(PATIENCE):
        while not federation.dns.questions:  # noqa: ASYNC110 - there is no event for a query
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert await process.communicate() == (b"", b"")
        assert process.returncode == 128 + signal.SIGINT


async def test_ctrl_c_wakes_the_event_loop(federation: Federation, tmp_path: Path) -> None:
    """The signal may arrive just before the event loop goes to sleep for minutes."""
    file = write_config({**federation.config(), "probe": {"timeout": "240s"}}, tmp_path)
    async with program(file, "json", SILENT, before=INTERRUPTED_IN_A_THREAD) as process, asyncio.timeout(PATIENCE):
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
async def test_standard_output_may_be_closed_early(config_file: Path, output_format: str) -> None:
    """`head` does that. There is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    async with program(config_file, output_format, EXPIRED, stdout=writing) as process, asyncio.timeout(PATIENCE):
        os.close(writing)
        _, complaints = await process.communicate()
        assert (process.returncode, complaints) == (1, b"")


async def test_colours_are_only_for_terminals(config_file: Path) -> None:
    """Other output contains no escape sequences."""
    async with program(config_file, "text", HEALTHY) as process, asyncio.timeout(PATIENCE):
        plain, _ = await process.communicate()
    assert b"\x1b" not in plain
    assert GREEN in await on_terminal(config_file)


async def test_no_color_is_honoured(config_file: Path) -> None:
    """A terminal gets no colours either."""
    assert GREEN not in await on_terminal(config_file, NO_COLOR="1")


async def test_ascii_is_sufficient(config_file: Path) -> None:
    """Some terminals and logs support nothing else."""
    async with program(config_file, "text", EXPIRED, PYTHONIOENCODING="ascii") as process:
        async with asyncio.timeout(PATIENCE):
            plain, complaints = await process.communicate()
    assert complaints == b""
    assert plain.decode("ascii").startswith("x expired.lab.test does not federate (")


async def on_terminal(config_file: Path, **environment: str) -> bytes:
    """Return the output on a terminal."""
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
    """Read until the last program on the other side has ended, which Linux reports as EIO."""
    received = b""
    with suppress(OSError):
        while content := os.read(terminal, 65536):
            received += content
    return received


# ---------------------------------------------------------------- the other direction


async def test_the_other_direction_is_part_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every method is tried. It does not decide whether the server federates."""
    names = ("signed-way.lab.test", "no-egress.lab.test")
    async with Federation([each for each in BOTH_WAYS_SERVERS if each.server_name in names]) as federation:
        file = configure_outbound(federation, tmp_path)
        with capture_logs():  # the command logs warnings only
            assert await run(file, *names, outbound=True) == 0
        came, silent = reports(capsys)
        assert await run(file, *names, as_json=False, outbound=True) == 0
        text = capsys.readouterr().out
    assert came["outbound"]["ok"] is True
    assert (came["outbound"]["method"], came["federation"]) == ("signed", "full")
    assert silent["outbound"]["ok"] is False
    assert (silent["federation_ok"], silent["federation"]) == (True, "partial")
    assert [(problem["stage"], problem["reason"]) for problem in silent["problems"]] == [
        ("outbound", "outbound_unreachable")
    ]
    words = " ".join(text.split())
    assert "it reaches the exporter over IPv6, after a signed request IPv4: it reaches the exporter too" in words
    assert "It cannot take part in rooms elsewhere: see the stage outbound." in words


async def test_nothing_is_looked_at_without_the_section(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(config_file, HEALTHY, outbound=True) == 2
    assert "--outbound needs the section `outbound`" in capsys.readouterr().err


async def test_a_port_that_is_in_use_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most likely, the exporter itself is listening there: then it knows the result."""
    async with both_ways(BOTH_WAYS_SERVERS[:1], tmp_path):
        assert await run(tmp_path / "config.yaml", "both-ways.lab.test", outbound=True) == 2
    error = capsys.readouterr().err
    assert "another program is already listening there" in error
    assert "/api/v1/report?server_name=" in error
