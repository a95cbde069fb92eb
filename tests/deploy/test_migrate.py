"""The snippets of docs/migrate.md, in the programs that they are for."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.cli import parser
from exporter.config import load
from exporter.demo.federation import Federation
from exporter.demo.homeserver import VERSION
from exporter.metrics.families import FAMILIES
from exporter.outbound.signing import generate_seed
from tests.deploy.rules import ALERTS, ROOT
from tests.e2e.monitoring import listening_program
from tests.embedded_federation import lab_servers
from tests.programs import program
from tests.waiting import PATIENCE
from tests.web.lab_site import BROKEN, HEALTHY, lab_site

PAGE = (ROOT / "docs" / "migrate.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
DOCUMENTS: list[dict[str, Any]] = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"]
NAMES = re.findall(r"^\| `(probe_\w+).*?` \| `(matrix_federation_\w+)", PAGE, re.MULTILINE)


def document(key: str, number: int = 0) -> dict[str, Any]:
    """Return a document that has the key."""
    return [each for each in DOCUMENTS if key in each][number]


def block(kind: str) -> str:
    (found,) = (text for each, text in BLOCKS if each == kind)
    return str(found)


def test_every_snippet_is_run_by_a_test() -> None:
    """The tests of this file take them by these kinds and keys."""
    assert [kind for kind, _ in BLOCKS if kind != "yaml"] == ["sh", "nagios", "icinga", "text"]
    assert [next(iter(each)) for each in DOCUMENTS] == [
        "modules",
        "servers",
        "groups",
        "groups",
        "endpoints",
        "outbound",
    ]


@pytest.mark.parametrize("key", ["servers", "outbound"])
def test_configurations_are_valid(key: str, tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_text(str(generate_seed()))
    (tmp_path / "signing.key").chmod(0o600)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"servers": ["example.org"]} | document(key)))
    assert [server.server_name.text for server in load(file).servers] == ["example.org"]


# ---------------------------------------------------------------- blackbox_exporter and json_exporter


def test_every_metric_is_one_of_the_exporter() -> None:
    assert len(NAMES) == 10
    assert {here for _, here in NAMES} <= {f"matrix_federation_{family.name}" for family in FAMILIES}


@pytest.mark.system("prometheus-blackbox-exporter")
@pytest.mark.subprocess
async def test_blackbox_exporter_has_these_metrics(tmp_path: Path) -> None:
    """With the module of the page, to which the certificate authority of the lab is added."""
    (server,) = lab_servers("default-port.lab.test")
    async with Federation([server]) as federation:
        config = federation.config()
        module = document("modules")["modules"]["matrix_federation"]
        module["http"] |= {"tls_config": {"ca_file": str(config["network"]["ca_file"])}}
        (tmp_path / "blackbox.yml").write_text(json.dumps({"modules": {"matrix_federation": module}}))
        (address,) = [value for key, value in config["network"]["connect_to"].items() if key.endswith(":8448")]
        metrics = await blackbox_metrics(tmp_path, server.server_name, f"https://{address}{VERSION}")
    assert "\nprobe_success 1\n" in metrics
    assert {name for name, _ in NAMES} <= set(re.findall(r"^(\w+)", metrics, re.MULTILINE))
    assert set(re.findall(r'probe_http_duration_seconds{phase="\w+"}', PAGE)) <= set(
        re.findall(r'probe_http_duration_seconds{phase="\w+"}', metrics)
    )


async def blackbox_metrics(folder: Path, hostname: str, target: str) -> str:
    """Return what the exporter that is configured in the folder finds."""
    command = [program("prometheus-blackbox-exporter"), f"--config.file={folder / 'blackbox.yml'}"]
    with listening_program(folder, command) as address:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=PATIENCE) as client:
            parameters = {"module": "matrix_federation", "hostname": hostname, "target": target}
            return (await client.get("/probe", params=parameters)).text


PROMTOOL_TEST = """
rule_files: [{rules}, alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'matrix_federation_probe_success{{instance="a:10448", server_name="example.org"}}'
        values: 1 1 0x10
      - series: 'matrix_federation_probe_success{{instance="b:10448", server_name="example.org"}}'
        values: 1x12
      - series: 'matrix_federation_probe_duration_seconds{{instance="a:10448", server_name="example.org"}}'
        values: 3x12
      - series: >-
          matrix_federation_tls_chain_not_after_timestamp_seconds{{connection="federation", server_name="example.org"}}
        values: 86400x12
    alert_rule_test:
      - {{eval_time: 1m, alertname: Old, exp_alerts: []}}
      - eval_time: 10m
        alertname: Old
        exp_alerts: [{{exp_labels: {{job: blackbox-matrix, instance: example.org, server_name: example.org}}}}]
    promql_expr_test:
      - expr: probe_duration_seconds
        eval_time: 5m
        exp_samples: [{{labels: '{{__name__="probe_duration_seconds", {labels}}}', value: 3}}]
      - expr: probe_ssl_earliest_cert_expiry
        eval_time: 5m
        exp_samples: [{{labels: '{{__name__="probe_ssl_earliest_cert_expiry", {labels}}}', value: 86400}}]
"""
LABELS = 'job="blackbox-matrix", instance="example.org", server_name="example.org"'
OLD_ALERT = {"alert": "Old", "expr": 'probe_success{job="blackbox-matrix"} == 0', "for": "5m"}


@pytest.mark.system("promtool")
def test_old_alerts_do_not_fall_silent(tmp_path: Path) -> None:
    """An alert on blackbox_exporter fires for a server that fails, with the server as its instance."""
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(document("groups")))
    (tmp_path / "alerts.yml").write_text(json.dumps({"groups": [{"name": "old", "rules": [OLD_ALERT]}]}))
    (tmp_path / "test.yml").write_text(PROMTOOL_TEST.format(rules=rules.name, labels=LABELS))
    assert promtool("test", "rules", tmp_path / "test.yml") == (0, "")


@pytest.mark.system("promtool")
@pytest.mark.parametrize("number", [0, 1])
def test_promtool_accepts_the_rules(number: int, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(document("groups", number)))
    assert promtool("check", "rules", rules) == (0, "")


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Return its status and its complaints."""
    ran = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr


def test_the_shipped_alerts_exist() -> None:
    named = set(re.findall(r"`(MatrixFederation\w+)`", PAGE))
    assert len(named) == 2
    assert named <= ALERTS.keys()


def test_the_targets_of_json_exporter_are_replaced(tmp_path: Path) -> None:
    """As the command of the page does it."""
    targets = tmp_path / "targets.json"
    query = "/api/report?server_name=example.org"
    targets.write_text(json.dumps([{"targets": [f"https://federationtester.matrix.org{query}"]}]))
    subprocess.run(["sh", "-c", block("sh")], cwd=tmp_path, check=True)
    assert json.loads(targets.read_text()) == [{"targets": [f"http://127.0.0.1:10448{query}"]}]


# ---------------------------------------------------------------- checks


def test_nagios_and_icinga_run_the_plugin() -> None:
    """With the macro replaced, as Nagios does; the arguments of Icinga are a list."""
    (line,) = re.findall("command_line (.*)", block("nagios"))
    (command,) = re.findall(r"command = (\[.*\])", block("icinga"))
    assert "$matrix_server_name$" in block("icinga")
    for _, *arguments in (
        shlex.split(line.replace("$ARG1$", "example.org")),
        [*json.loads(command), "example.org"],
    ):
        chosen = parser().parse_args(arguments)
        assert (chosen.servers, chosen.format) == (["example.org"], "nagios")


@pytest.mark.lab
async def test_uptime_kuma_and_gatus_see_good_and_bad(tmp_path: Path) -> None:
    """Both get the same URL; the status is 200 for a watched server, whatever the result."""
    (endpoint,) = document("endpoints")["endpoints"]
    assert block("text").strip() == endpoint["url"]
    path, _, parameter = endpoint["url"].removeprefix("http://127.0.0.1:10448").partition("?")
    assert parameter == "server_name=example.org"
    assert endpoint["conditions"] == ["[STATUS] == 200", "[BODY] == GOOD"]
    async with lab_site(tmp_path, HEALTHY, BROKEN) as site:
        both = (HEALTHY, BROKEN)
        answers = [await site.get_probed(path, server_name=each.server_name, fresh="true") for each in both]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "GOOD"), (200, "BAD")]
