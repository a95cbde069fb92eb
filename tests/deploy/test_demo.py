"""The image and the compose file of deploy/demo, as far as they can be tried without a container engine."""

import os
import re
import sys
from pathlib import Path
from subprocess import check_output
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import build
from tests.e2e.processes import log_on_failure, running_program
from tests.e2e.synapse import PYTHON
from tests.programs import program
from tests.waiting import until

pytestmark = pytest.mark.subprocess

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/demo"
DOCKERFILE = FOLDER / "Dockerfile"


def test_linter_has_no_complaint() -> None:
    """Not even about style."""
    assert check_output([str(Path(sys.executable).with_name("hadolint")), str(DOCKERFILE)]) == b""


def test_the_image_has_the_synapse_of_the_tests() -> None:
    (image,) = re.findall(r"^FROM matrixdotorg/synapse:v(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert f"matrix-synapse=={image} " in (ROOT / "requirements/synapse.txt").read_text()


@pytest.mark.synapse
async def test_the_image_runs_the_demo(tmp_path: Path) -> None:
    """Until all messages have arrived, and the exporter has found no problems."""
    log, path = tmp_path / "log", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    image = build(DOCKERFILE, ROOT, tmp_path / "image", {"PATH": path})
    *command, _ = image.commands["ENTRYPOINT"]  # without the Python of the image
    in_workdir = [program("env"), "--chdir", str(image.root / "app")]
    options = [program(str(PYTHON)), "--web.listen-address", "127.0.0.1:0"]
    with running_program([*in_workdir, *command, *options], log, image.environment), log_on_failure(log):
        assert await until(lambda: log.read_text().count("no problems") == 3)


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """The only service, as Docker's own library reads it."""
    project = check_output([program("compose-config"), "compose.yaml"], cwd=FOLDER)
    (found,) = yaml.safe_load(project)["services"].values()
    assert isinstance(found, dict)
    return found


@pytest.mark.system("compose-config")
def test_the_service_is_hardened_and_has_a_terminal(service: dict[str, Any]) -> None:
    expected = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": ["/tmp"],
        "stdin_open": True,
        "tty": True,
    }
    assert {key: service[key] for key in expected} == expected


@pytest.mark.system("compose-config")
def test_the_page_is_open_to_this_machine_alone(service: dict[str, Any]) -> None:
    (port,) = service["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "10448", 10448)
    assert service["build"] == {"context": str(ROOT), "dockerfile": "deploy/demo/Dockerfile"}
