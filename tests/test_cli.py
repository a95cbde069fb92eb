"""The commands, run as processes."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from exporter import DISTRIBUTION, VERSION, cli
from exporter.config import HostPort
from exporter.config.files import read_signing_key
from exporter.config.settings import DEFAULT_LISTEN
from exporter.demo.broken import broken_port
from exporter.demo.command import SHOWN, listening_socket
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.ports import drop_packets
from exporter.demo.servers import LabServer
from exporter.demo.story import STORY_SERVER
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.scheduling.grid import fraction
from exporter.web.listeners import CHOOSE_ADDRESS, ListenError, bind, bound_address
from tests.embedded_federation import (
    Series,
    expected_failures,
    failures,
    lab_servers,
    of_server,
    scraped,
    successes,
    write_config,
)
from tests.server_lists.serving import http_response, target_groups
from tests.server_lists.serving import serving as serving_list
from tests.waiting import PATIENCE, until_async, until_equal

pytestmark = pytest.mark.subprocess

STOP_NO_HOMESERVER = {"no-version.lab.test", "srv-alias.lab.test"}  # by their problems
LOST_ON_A_BUSY_MACHINE = ('msg="probe lost"', 'msg="probe skipped"')
"""What the demo may say there, which runs the exporter and all servers in one process."""
HEALTHY, BROKEN = lab_servers("default-port.lab.test", "expired.lab.test")


@asynccontextmanager
async def started(*arguments: str | Path) -> AsyncIterator[Process]:
    """Start the command; kill it at the end if it is still running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", *map(str, arguments), stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: Process, *signals: signal.Signals) -> tuple[int | None, str, str]:
    """Return the exit status, and the rest of standard output and standard error."""
    for number in signals:
        process.send_signal(number)
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def run(*arguments: str | Path) -> tuple[int | None, str, str]:
    async with started(*arguments) as process:
        return await ended(process)


class RunningExporter:
    """A process of `serve` that logs in JSON."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.entries: list[dict[str, object]] = []
        self.address: HostPort

    async def until_logged(self, message: str) -> dict[str, object]:
        assert self.process.stderr
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stderr.readline():
                self.entries.append(json.loads(line))
                if self.entries[-1]["msg"] == message:
                    return self.entries[-1]
        raise EOFError(f"ended without {message!r}: {self.entries}")

    async def metrics(self) -> Series:
        return await scraped(self.address)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int | None, str, list[str]]:
        """Return the exit status, standard output, and the messages in the rest of the log."""
        status, out, err = await ended(self.process, number)
        return status, out, [json.loads(line)["msg"] for line in err.splitlines()]


@asynccontextmanager
async def serving(file: Path, *arguments: str) -> AsyncIterator[RunningExporter]:
    """Yield the exporter as soon as it is ready."""
    async with started("serve", "--config", file, "--log.format", "json", *arguments) as process:
        running = RunningExporter(process)
        listening = await running.until_logged("listening")
        host, _, port = str(listening["addresses"]).rpartition(":")
        running.address = HostPort(host, int(port))
        assert listening["event_loop"] == "uvloop"  # the tests install it
        await running.until_logged("watching")
        yield running


# ---------------------------------------------------------------- usage


async def test_version() -> None:
    """It is printed to standard output."""
    assert await run("--version") == (0, f"{DISTRIBUTION} {VERSION}\n", "")


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has a line."""
    with pytest.raises(SystemExit) as raised:
        cli.main(["--help"])
    assert raised.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    commands = {line.split()[0] for line in lines if line.startswith("    ") and not line.startswith("     ")}
    assert commands >= {"serve", "check", "check-config", "check-web-config", "generate-signing-key", "demo"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["serve"], "the following arguments are required: --config"),
        (
            ["serve", "--config", "f", "--web.listen-address", "10448"],
            "expected host:port, :port or unix:/path, found '10448': add a port",
        ),
        (["serve", "--config", "f", "--web.listen", "[::]:1"], "unrecognized arguments: --web.listen [::]:1"),
        (
            ["serve", "--config", "f", "--web.listen-address", "unix:sock"],
            "found 'unix:sock': write the whole path, as in unix:/run/matrix-federation-exporter.sock",
        ),
        (["serve", "--config", "f", "--web.systemd-socket"], "--web.systemd-socket: systemd passed no socket"),
        (["serve", "--config", "f", "--web.external-url", "x"], "route-prefix: it must start with https:// or http://"),
        (["serve", "--config", "f", "--log.level", "loud"], "argument --log.level: invalid choice: 'loud'"),
        (["serve", "--config", "f", "--shard.index", "0"], "--shard.index and --shard.count go together"),
        (
            ["serve", "--config", "f", "--shard.index", "exporter-3", "--shard.count", "3"],
            "--shard.index: expected a whole number from 0 to 2",
        ),
        (["serve", "--config", "f", "--shard.index", "0", "--shard.count", "none"], "--shard.count: expected a whole"),
        (["serve", "--config", "f", "--workers", "0"], "argument --workers: expected a whole number from 1 to 64"),
        (["serve", "--config", "f", "--workers", "all"], "argument --workers: expected a whole number from 1 to 64"),
        (["check"], "the following arguments are required: SERVER"),
        (["check", "example.org", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["check-config"], "the following arguments are required: FILE"),
    ],
)
def test_invalid_usage(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The usage and the error are printed, and the exit status is 2."""
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert (raised.value.code, out) == (2, "")
    assert err.startswith(f"usage: {DISTRIBUTION}")
    assert complaint in err


@pytest.mark.parametrize("chosen", [["--format", "nagios"], ["--format=nagios"]], ids=" ".join)
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: SERVER"),
        (["a.test", "--history"], "--history cannot be shown with --format nagios"),
        (["a.test", "--outbound"], "--outbound needs the section `outbound` of a configuration: add --config"),
        (["a.test", "--config"], "argument --config: expected one argument"),
        (["a.test", "--config", "missing.yaml"], "missing.yaml: expected a file, found none with this name"),
        (["a.test", "--timeout", "5"], "unrecognized arguments: --timeout 5"),
        (["a.test", "--outbound=no"], "argument --outbound: ignored explicit argument 'no'"),
        (["a.test|'time'=0s", "--history"], "--history cannot be shown with --format nagios"),
        (["--timeout=|5", "a.test"], "unrecognized arguments: --timeout=/5"),
        (["https://a.test"], "'https://a.test' is not a server name: "),
    ],
)
def test_invalid_usage_of_the_plugin_is_unknown_to_nagios(
    arguments: list[str], complaint: str, chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, as Nagios shows only standard output. The usual status 2 would mean that a server is down."""
    try:
        status: object = cli.main(["check", *chosen, *arguments])
    except SystemExit as raised:
        status = raised.code
    out, err = capsys.readouterr()
    assert (status, err, out.count("\n"), out.count("|")) == (3, "", 1, 0)
    assert out.startswith("MATRIX FEDERATION UNKNOWN: ")
    assert complaint in out


def test_the_help_of_the_plugin_is_unknown_to_nagios(capsys: pytest.CaptureFixture[str]) -> None:
    """As the guidelines for plugins have it: nothing was checked."""
    with pytest.raises(SystemExit) as raised:
        cli.main(["check", "--format", "nagios", "--help"])
    assert raised.value.code == 3
    assert capsys.readouterr().out.startswith("usage: ")


# ---------------------------------------------------------------- check


@pytest.mark.parametrize(("checked", "status"), [([HEALTHY], 0), ([HEALTHY, BROKEN], 1)])
async def test_check_reports_every_server(checked: list[LabServer], status: int, tmp_path: Path) -> None:
    """There is one report per line, in the given order. The exit status is 1 if a server does not federate."""
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        server_names = [server.server_name for server in checked]
        returned, out, err = await run("check", "--config", file, "--format", "json", *server_names)
    verdicts = [(report["server_name"], report["federation_ok"]) for report in map(json.loads, out.splitlines())]
    assert (returned, verdicts, err) == (status, [(server.server_name, server.healthy) for server in checked], "")


async def test_check_refuses_a_url() -> None:
    """The exit status is 2."""
    status, out, err = await run("check", "https://example.org")
    assert (status, out) == (2, "")
    assert err.startswith("'https://example.org' is not a server name: ")


# ---------------------------------------------------------------- check-config


def test_check_config_counts_the_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Servers in server files are included, and each server counts once."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: [example.org, example.net]\nserver_files: [more.json]\n")
    (tmp_path / "more.json").write_text('[{"targets": ["example.net", "example.com"]}]')
    assert cli.main(["check-config", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: 3 servers, valid\n", "")
    file.write_text("servers: [example.org]")
    assert cli.main(["check-config", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: 1 server, valid\n", "")


def test_check_config_tells_of_labels_and_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `serve` would only log does not make the configuration invalid: nothing is lost but a label."""
    file, more = tmp_path / "config.yaml", tmp_path / "more.yaml"
    file.write_text(
        "server_files: [more.yaml]\ngroups: [{name: ours, servers: [a.example], server_files: [more.yaml]}]"
    )
    more.write_text("- targets: [a.example, b.example]\n  labels: {job: matrix, team: chat}\n")
    assert cli.main(["check-config", str(file)]) == 0
    out, err = capsys.readouterr()
    label, *overlaps = err.splitlines()
    assert out == f"{file}: 2 servers, valid\n"
    assert label.startswith(
        f"label left out: {more}:2: [0].labels.job: expected a label name such as team, found `job`"
    )
    assert overlaps == [
        "1 server of the group default is already in the group ours, and stays there",
        "1 server of the group ours is already in the group default, and stays there",
    ]


def test_check_config_names_the_rules_that_need_a_disabled_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those rules would never fire, and nobody would notice."""
    file = tmp_path / "config.yaml"
    disabled = "matrix_federation_peer_success", "matrix_federation_tls_version_info"
    file.write_text(f"servers: [example.org]\nmetrics: {{disabled: [{', '.join(disabled)}]}}\n")
    assert cli.main(["check-config", str(file)]) == 0
    _, needed, needless = capsys.readouterr().out.splitlines()
    assert needed.startswith(f"{disabled[0]} is disabled, and needed by MatrixFederation")
    assert "MatrixFederationServerDown," in needed
    assert needless == f"{disabled[1]} is disabled, and needed by no rule"


def test_check_config_does_not_use_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Server lists that would have to be fetched are only counted."""
    file = tmp_path / "config.yaml"
    (tmp_path / "token").write_text("syt_secret")
    synapse = "synapse_destinations: [{url: 'http://127.0.0.1:1', token_file: token}]"
    for lists, counted in ((synapse, "1 list"), (f"{synapse}\nserver_urls: ['http://127.0.0.1:2']", "2 lists")):
        file.write_text(lists)
        assert cli.main(["check-config", str(file)]) == 0
        assert capsys.readouterr() == (f"{file}: 0 servers, {counted} to be fetched, valid\n", "")


def test_check_config_lists_all_complaints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They go to standard error, and the exit status is 2."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: [a..b]\nprobe: {intervall: 5m}\n")
    assert cli.main(["check-config", str(file)]) == 2
    out, err = capsys.readouterr()
    locations = [line.split(": ")[:2] for line in err.splitlines()]
    assert (out, locations) == ("", [[f"{file}:1", "servers[0]"], [f"{file}:2", "probe.intervall"]])


def test_check_config_reads_the_server_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid server file is an error too. Although `serve` would only leave out its invalid entries, all of them
    are listed.
    """
    file, more = tmp_path / "config.yaml", tmp_path / "more.json"
    file.write_text("server_files: [more.json]\n")
    more.write_text("{")
    assert cli.main(["check-config", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"{more}:1: ")) == ("", True)
    more.write_text(json.dumps([{"targets": ["example.org", *(f"x_{number}" for number in range(100))]}], indent=0))
    assert cli.main(["check-config", str(file)]) == 2
    out, err = capsys.readouterr()
    starts = [line.split(": ")[0] for line in err.splitlines()]
    assert (out, starts) == ("", [f"{more}:{line}" for line in range(5, 105)])


# ---------------------------------------------------------------- serve


async def test_serve_is_scraped_reloaded_and_stopped(tmp_path: Path) -> None:
    """SIGHUP applies a valid configuration, and not an invalid one. SIGTERM ends the process with status 0."""
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        async with serving(file) as exporter:
            await until_async(lambda: complete(exporter))
            assert failures(await exporter.metrics()) == expected_failures([HEALTHY, BROKEN])

            file.write_text("servers: [\n")
            exporter.process.send_signal(signal.SIGHUP)
            refused = await exporter.until_logged("configuration not applied")
            assert str(refused["complaint"]).startswith(f"{file}:2: invalid YAML: ")
            assert (await exporter.metrics())["exporter_config_last_reload_successful"] == 0

            write_config(file, federation, servers=[HEALTHY.server_name])
            exporter.process.send_signal(signal.SIGHUP)
            assert (await exporter.until_logged("watching"))["servers"] == 1
            found = await exporter.metrics()
            assert found["exporter_config_last_reload_successful"] == 1
            assert of_server(found, BROKEN.server_name) == {}

            status, out, messages = await exporter.end()
    assert (status, out, "stopping" in messages) == (0, "", True)
    assert {entry["level"] for entry in exporter.entries} == {"info", "error"}


def test_a_reload_while_it_starts_does_not_end_it(tmp_path: Path) -> None:
    """It imports its modules when SIGHUP arrives, and has no handler yet."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: [example.org]\nprobe: {interval: 360d}\nnetwork: {resolvers: ['127.0.0.1:1']}\n")
    command = [sys.executable, "-m", "exporter", "serve", "--config", str(file), "--web.listen-address", "127.0.0.1:0"]
    with Popen(command, stderr=PIPE, text=True) as process:
        while "pydantic_core" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        assert process.stderr
        assert any("watching" in line for line in process.stderr)
        process.terminate()
        assert process.wait(PATIENCE) == 0


async def complete(exporter: RunningExporter) -> bool:
    return successes(await exporter.metrics(), [HEALTHY, BROKEN]) == {HEALTHY.server_name: 1, BROKEN.server_name: 0}


async def test_shards_share_the_servers(tmp_path: Path) -> None:
    """Every server, of the configuration or of a server file, is watched by exactly one exporter."""
    shared = SERVERS[:8]
    server_names = [server.server_name for server in shared]
    (tmp_path / "more.json").write_text(json.dumps([{"targets": server_names[3:]}]))
    seen: list[str] = []
    async with Federation(shared) as federation:
        file = write_config(tmp_path / "config.yaml", federation, servers=server_names[:4], server_files=["more.json"])
        for index in range(2):
            async with serving(file, "--shard.index", f"exporter-{index}", "--shard.count", "2") as exporter:
                found = await exporter.metrics()
                assert found[f'exporter_shard_info{{count="2",index="{index}"}}'] == 1
                intervals = [name for name in found if name.startswith("probe_interval_seconds")]
                assert found["exporter_servers"] == len(intervals) > 0
                seen += intervals
                await exporter.end()
    assert sorted(seen) == sorted(f'probe_interval_seconds{{server_name="{name}"}}' for name in server_names)


async def test_workers_share_the_probing(tmp_path: Path) -> None:
    """There is one exporter to scrape. Ctrl-C, which a terminal sends to all processes, ends them with status 0."""
    async with Federation([HEALTHY, BROKEN]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        async with serving(file, "--workers", "2") as exporter:
            await until_async(lambda: complete(exporter))
            assert (await exporter.metrics())["exporter_workers"] == 2
            workers = children(exporter.process.pid)
            for pid in workers:
                os.kill(pid, signal.SIGINT)
            status, out, messages = await exporter.end(signal.SIGINT)
        assert (status, out, messages[-1]) == (0, "", "stopping")
        assert "a worker ended: starting another" not in messages
        assert not any(map(is_running, workers))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("flags", "status"), [([], 403), (["--web.enable-lifecycle"], 200)])
async def test_reload_over_http_requires_an_option(flags: list[str], status: int, tmp_path: Path) -> None:
    """Without --web.enable-lifecycle, the status is 403."""
    file = tmp_path / "config.yaml"
    async with Federation([HEALTHY]) as federation, serving(write_config(file, federation), *flags) as exporter:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(f"http://{exporter.address}/-/reload")).status_code == status
        assert (await exporter.end())[0] == 0


@pytest.mark.parametrize("list_response", [target_groups("a.invalid"), http_response(b"", status="401 Unauthorized")])
async def test_secrets_are_sent_and_never_shown(list_response: bytes, tmp_path: Path) -> None:
    """Neither the log at its most verbose level nor any page contains them."""
    (tmp_path / "token").write_text("hunter2")
    async with serving_list(lambda _: list_response) as server:
        own = {"url": server.url, "token_file": "token", "headers": {"X-Key": "hunter3"}}
        file = tmp_path / "config.yaml"
        file.write_text(json.dumps({"server_urls": [own]}))
        async with serving(file, "--log.level", "debug", "--web.listen-address", "127.0.0.1:0") as exporter:
            applied = list_response == target_groups("a.invalid")
            await exporter.until_logged("server list applied" if applied else "server list not applied")
            async with httpx.AsyncClient(trust_env=False) as client:
                pages = [(await client.get(f"http://{exporter.address}{path}")).text for path in ("/", "/metrics")]
            status, out, messages = await exporter.end()
    assert (server.header("authorization"), server.header("x-key")) == (["Bearer hunter2"], ["hunter3"])
    assert (status, "hunter" in f"{pages}{out}{messages}{exporter.entries}") == (0, False)


async def test_stops_with_a_probe_in_flight(tmp_path: Path) -> None:
    """After a grace period, the process ends with status 0 and without an error."""
    slow = {"interval": "1m", "timeout": "45s"}  # a third of it for the connection, and more than the grace
    async with Federation([silent_and_early()]) as federation:
        file = write_config(tmp_path / "config.yaml", federation, probe=slow)
        async with serving(file) as exporter:
            await until_async(lambda: in_flight(exporter))
            assert await exporter.end() == (0, "", ["stopping"])


def silent_and_early() -> LabServer:
    """Return a server that is probed in the first second of the minute over which probes are spread."""
    hosts = (f"silent-{number}.lab.test" for number in count())
    host = next(host for host in hosts if fraction(names.parse(host)) < 1 / 60)
    return broken_port(host, "192.0.2.99", "a firewall", Reason.CONNECT_TIMEOUT, drop_packets)


async def in_flight(exporter: RunningExporter) -> bool:
    return (await exporter.metrics())["exporter_probes_in_flight"] == 1


async def test_an_invalid_configuration_ends_serve(tmp_path: Path) -> None:
    """All complaints are printed without a traceback, and the exit status is 2."""
    missing = tmp_path / "config.yaml"
    expected = f"{missing}: expected a file, found none with this name: check the path\n"
    assert await run("serve", "--config", missing) == (2, "", expected)


async def test_an_invalid_web_configuration_ends_serve(tmp_path: Path) -> None:
    """Otherwise the exporter would be open to everyone. The exit status is 2."""
    file, web = tmp_path / "config.yaml", tmp_path / "web.yaml"
    file.write_text("servers: [example.org]\n")
    web.write_text("rate_limit: {burst: 0}\n")
    expected = f"{web}:1: rate_limit.burst: expected a whole number of at least 1, found the number 0\n"
    assert await run("serve", "--config", file, "--web.config.file", web) == (2, "", expected)


async def test_health_checks_can_be_exempt_from_passwords(tmp_path: Path) -> None:
    """Other paths still require one."""
    web = tmp_path / "web.yaml"
    hashed = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
    web.write_text(f"basic_auth_users: {{alice: {hashed}}}\n")
    async with Federation([HEALTHY]) as federation:
        file = write_config(tmp_path / "config.yaml", federation)
        async with serving(file, "--web.config.file", str(web), "--web.health-without-auth") as exporter:
            async with httpx.AsyncClient(trust_env=False, base_url=f"http://{exporter.address}") as client:
                found = [(await client.get(path)).status_code for path in ("/-/healthy", "/metrics")]
            assert (await exporter.end())[0] == 0
    assert found == [200, 401]


async def test_an_address_in_use_ends_serve(tmp_path: Path) -> None:
    """The error is printed without a traceback, and the exit status is 1."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: [example.org]\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = HostPort(*taken.getsockname())
        reason = "another program is already listening there: stop it, or choose another address"
        expected = f"{DISTRIBUTION}: cannot listen on {address}: {reason} ({CHOOSE_ADDRESS})\n"
        assert await run("serve", "--config", file, "--web.listen-address", str(address)) == (1, "", expected)


# ---------------------------------------------------------------- generate-signing-key


async def test_a_signing_key_is_created_for_its_owner_only(tmp_path: Path) -> None:
    """It is in Synapse's format. An existing key is never overwritten: other servers remember it."""
    file = tmp_path / "signing.key"
    status, out, err = await run("generate-signing-key", file)
    seed = read_signing_key(file)
    assert (status, out, err) == (0, f"{file}: {seed.key_id}\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await run("generate-signing-key", file) == (2, "", f"cannot create {file}: File exists\n")
    assert read_signing_key(file) == seed


# ---------------------------------------------------------------- demo


async def url_of(process: Process) -> tuple[str, str]:
    """Return the URL of the metrics and everything that was printed."""
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        text = (await process.stdout.readuntil(b"Press Ctrl-C to stop.\n")).decode()
    return next(word for word in text.split() if word.endswith("/metrics")), text


def lets_probes_through(server: LabServer) -> bool:
    """Neither a reverse proxy nor the other direction decides whether a probe succeeds, unless lookups fail too."""
    return {stage for stage, _ in server.expected} <= {Stage.PROXY, Stage.OUTBOUND} and not any(
        reason is Reason.AUTHORIZATION_STRIPPED for _, reason in server.expected
    )


async def test_demo_shows_every_server() -> None:
    """Healthy servers succeed, and broken ones fail for the reasons that are printed. Ctrl-C ends it quietly."""
    async with started("demo") as process:
        url, text = await url_of(process)
        parsed = httpx.URL(url)
        address = HostPort(parsed.host, parsed.port or 0)
        expected = {
            server.server_name: float(lets_probes_through(server) or server.server_name in STOP_NO_HOMESERVER)
            for server in SHOWN
        }

        async def results() -> tuple[dict[str, float | None], set[str]]:
            found = await scraped(address)
            return successes(found, SHOWN), failures(found)

        await until_equal((expected, expected_failures(SHOWN)), results)
        status, out, err = await ended(process, signal.SIGINT)
    assert status == 0
    assert [line for line in out.splitlines() if STORY_SERVER.server_name not in line] == []
    assert [line for line in err.splitlines() if not any(each in line for each in LOST_ON_A_BUSY_MACHINE)] == []
    assert all(server.server_name in text for server in SHOWN)
    assert all(f"{stage} {reason}" in text for server in SHOWN for stage, reason in server.expected)


def test_demos_that_start_at_the_same_time_listen_on_different_ports() -> None:
    """Each holds its port from the moment when it chooses it."""
    with listening_socket() as first, listening_socket() as second:
        assert bound_address(first) != bound_address(second)


async def test_demo_uses_another_port_if_the_default_is_taken() -> None:
    """It says so. SIGTERM ends it too."""
    with ExitStack() as stack:
        with suppress(ListenError):
            stack.enter_context(bind([DEFAULT_LISTEN])[0])
        async with started("demo") as process:
            url, text = await url_of(process)
            assert text.startswith(
                f"Port {DEFAULT_LISTEN.port} is in use, so the exporter listens on port {httpx.URL(url).port}.\n"
            )
            assert not url.endswith(f":{DEFAULT_LISTEN.port}/metrics")
            assert (await ended(process, signal.SIGTERM))[0] == 0
