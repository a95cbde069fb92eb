"""The image and the compose file of deploy/docker, as far as they can be tried without a container engine."""

import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess, run
from threading import Thread
from typing import Any

import pytest
import yaml

from exporter.config import load
from exporter.demo.authority import Authority
from tests.deploy.demos import assert_demo_probes
from tests.deploy.dockerfile import Stage, build
from tests.e2e.processes import log_on_failure, running_program
from tests.programs import program
from tests.waiting import until
from tests.web.pems import write_server

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/docker"
PYTHON = "/usr/bin/python3.11"  # Debian 12's, here as in the image
BUILD_SECONDS = 600.0


def said(command: Sequence[str], environment: dict[str, str] | None = None, folder: Path = ROOT) -> tuple[int, str]:
    """Exit status, and all that was written."""
    process: CompletedProcess[str] = run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=folder
    )
    return process.returncode, process.stdout + process.stderr


# ---------------------------------------------------------------- the image


def test_linter_has_no_complaint() -> None:
    """Not even about style."""
    assert said([str(Path(sys.executable).with_name("hadolint")), str(FOLDER / "Dockerfile")]) == (0, "")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Every step of the Dockerfile but FROM, with the pip of the tests at work for Debian's Python."""
    ours = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PIP_PYTHON": program(PYTHON)}
    registry = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key == "HOME"}
    return build(FOLDER / "Dockerfile", ROOT, tmp_path_factory.mktemp("image"), registry | ours)


@pytest.mark.system(PYTHON)
@pytest.mark.timeout(BUILD_SECONDS)
async def test_image_serves_and_knows_whether_it_does(image: Stage, tmp_path: Path) -> None:
    """By its own command line, for another file and port, and by its own health check, which uses no proxy."""
    async with started(image, tmp_path) as url:
        healthy = health(image, url)
    assert healthy == (0, "")
    assert health(image, url) == (1, f"{url}: <urlopen error [Errno 111] Connection refused>\n")


@pytest.mark.system(PYTHON)
@pytest.mark.timeout(BUILD_SECONDS)
async def test_image_runs_the_demo(image: Stage, tmp_path: Path) -> None:
    """By its entry point, as `docker run IMAGE demo` does."""
    await assert_demo_probes(image.commands["ENTRYPOINT"], tmp_path / "log", image.environment)


@asynccontextmanager
async def started(image: Stage, folder: Path) -> AsyncIterator[str]:
    """The URL for the health check. What is watched is an address that may not be connected to."""
    config, log = folder / "config.yaml", folder / "log"
    config.write_text("servers: [127.0.0.1]")
    *command, config_option, _, listen_option, _ = image.commands["ENTRYPOINT"] + image.commands["CMD"]
    command += [config_option, str(config), listen_option, "127.0.0.1:0"]
    with running_program(command, log, image.environment), log_on_failure(log):
        listening = await until(lambda: re.search(r"addresses=(\S+)", log.read_text()))
        assert listening
        yield f"http://{listening[1]}/-/healthy"


class Healthy(BaseHTTPRequestHandler):
    """Answers 204 to every GET."""

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()


def test_health_check_accepts_any_certificate(tmp_path: Path) -> None:
    """As that of Kubernetes does: here one for another host, of an authority that nobody trusts."""
    write_server(tmp_path, Authority(tmp_path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.timeout = 60.0
        answering = Thread(target=server.handle_request)
        answering.start()
        url = f"https://127.0.0.1:{server.server_port}/-/ready"
        assert said([sys.executable, str(FOLDER / "healthcheck.py"), url]) == (0, "")
        answering.join()


def health(image: Stage, url: str) -> tuple[int, str]:
    *command, _ = image.commands["HEALTHCHECK"]
    return said([*command, url], image.environment | {"http_proxy": "http://127.0.0.1:9"})


# ---------------------------------------------------------------- compose


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """As Docker's own library reads the file, with full paths."""
    status, project = said([program("compose-config"), "compose.yaml"], folder=FOLDER)
    assert status == 0, project
    found: dict[str, Any] = yaml.safe_load(project)["services"]
    return found


@pytest.mark.system("compose-config")
def test_services(services: dict[str, Any]) -> None:
    """The four that the README names."""
    assert sorted(services) == ["alertmanager", "exporter", "grafana", "prometheus"]


@pytest.mark.system("compose-config")
def test_whatever_is_mounted_is_there(services: dict[str, Any]) -> None:
    """Docker would make an empty folder in its place, and say nothing."""
    mounted = [volume for service in services.values() for volume in service["volumes"] if volume["type"] == "bind"]
    assert mounted
    assert {volume["source"] for volume in mounted if not Path(volume["source"]).exists()} == set()
    assert all(volume["read_only"] for volume in mounted)


@pytest.mark.system("compose-config")
@pytest.mark.parametrize("name", ["alertmanager", "exporter", "grafana", "prometheus"])
def test_service_is_hardened(services: dict[str, Any], name: str) -> None:
    """Writes to its volumes alone, and can become nothing more than it is."""
    assert {key: services[name][key] for key in ("read_only", "cap_drop", "security_opt")} == {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


@pytest.mark.system("compose-config")
def test_ports_are_open_to_this_machine_alone(services: dict[str, Any]) -> None:
    """Neither Prometheus nor Alertmanager asks who is there."""
    published = {port["published"]: port["host_ip"] for port in services["exporter"]["ports"]}
    assert published == dict.fromkeys(("10448", "9090", "9093", "3000"), "127.0.0.1")


@pytest.mark.system("compose-config")
def test_grafana_finds_prometheus(services: dict[str, Any]) -> None:
    """By the name in its data source, which is loopback in the network that they share."""
    (source,) = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert services["exporter"]["extra_hosts"] == ["prometheus=127.0.0.1"]


@pytest.mark.system("compose-config")
def test_grafana_finds_its_dashboards(services: dict[str, Any]) -> None:
    """Where its provisioning says that they are."""
    (file,) = (ROOT / "grafana/provisioning/dashboards").iterdir()
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    targets = {volume["source"]: volume["target"] for volume in services["grafana"]["volumes"]}
    assert targets[str(ROOT / "grafana/dashboards")] == provider["options"]["path"]


def test_prometheus_finds_the_others() -> None:
    """On loopback, at the ports that they have."""
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    places = [*prometheus["scrape_configs"], *prometheus["alerting"]["alertmanagers"]]
    assert [target for place in places for group in place["static_configs"] for target in group["targets"]] == [
        "127.0.0.1:10448",
        "127.0.0.1:9093",
    ]


def test_configuration_is_valid() -> None:
    """The one that the exporter of the compose file begins with."""
    assert load(FOLDER / "config.yaml").servers
