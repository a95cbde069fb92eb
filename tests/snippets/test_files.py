"""Every file in the documentation is valid for the program that reads it."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from exporter.cli import main, parser
from exporter.config import load
from exporter.demo.authority import Authority
from exporter.metrics.rules import values
from exporter.outbound.signing import generate_seed
from tests.deploy.rules import RECORDS, ROOT
from tests.programs import program
from tests.snippets.collecting import PAGES, SNIPPETS, Snippet, of_kind
from tests.web.pems import write_server

KINDS: Final = {"json", "markdown", "nginx", "nix", "promql", "sh", "yaml"}
"""The snippets in Nix are those of tests/deploy/test_nix.py."""
ELSEWHERE: Final = {
    ("docs/migrate.md", "icinga"): "tests/deploy/test_migrate.py runs its command",
    ("docs/migrate.md", "nagios"): "tests/deploy/test_migrate.py runs its command",
    ("docs/migrate.md", "text"): "tests/deploy/test_migrate.py requests this URL",
    ("README.md", ""): "a drawing",
    ("docs/architecture.md", ""): "a drawing",
    ("docs/compared-with-the-federation-tester.md", ""): "tests/test_docs.py compares it with what is printed",
}
"""Snippets that no test of this folder is for, by page and kind."""
FOLDERS_OF_FILES: Final = ("/etc/letsencrypt/live/probe.example.org/", "/etc/ssl/")
PASSWORD: Final = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
QUERY_IN_TABLE: Final = re.compile(r"\| `([^`|]*matrix_federation_[^`|]+)` \|$", re.MULTILINE)


def test_every_kind_of_snippet_has_a_test() -> None:
    """Or stands in ELSEWHERE."""
    others = {(snippet.page, snippet.kind) for snippet in SNIPPETS if snippet.kind not in KINDS}
    assert others == ELSEWHERE.keys()
    assert {snippet.kind for snippet in SNIPPETS} >= KINDS


def test_every_snippet_is_found() -> None:
    """One that is indented too."""
    fences = sum(len(re.findall("^ *```", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert len(SNIPPETS) == fences / 2 > 100


def test_json_is_valid() -> None:
    """The members of an object may stand without its braces."""
    documents = [each.text if each.text.startswith("{") else f"{{{each.text}}}" for each in of_kind("json")]
    assert all(map(json.loads, documents))


def test_badges_have_the_path_of_badges() -> None:
    (badge,) = of_kind("markdown")
    assert "https://EXPORTER/badge/example.org.svg" in badge.text


# ---------------------------------------------------------------- YAML


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that snippets name."""
    authority = Authority(tmp_path)
    write_server(tmp_path, authority)
    for name, copies in (("cert.pem", ["fullchain.pem"]), ("key.pem", ["privkey.pem"])):
        for copy in copies:
            (tmp_path / copy).write_bytes((tmp_path / name).read_bytes())
    for name in ("private-ca.pem", "office-ca.pem", "plant-ca.pem", "clients.pem"):
        (tmp_path / name).write_bytes(authority.ca_file.read_bytes())
    for name in ("synapse.token", "remote-write.password", "proxy.credentials"):
        (tmp_path / name).write_text("user:secret")
    for name in ("servers.d", "chat.d", "network.d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "servers.yaml").write_text("[{targets: [example.net]}]")
    key = tmp_path / "signing.key"
    key.write_text(str(generate_seed()))
    key.chmod(0o600)
    return tmp_path


def check_configuration(snippet: Snippet, folder: Path) -> None:
    """A single section is one of a configuration with servers, and a part of `outbound` goes on after another one."""
    document = snippet.document
    if "outbound" in document:
        document["outbound"] = {"signing_key_file": "signing.key", **document["outbound"]}
    if document.keys() <= {"network", "outbound"}:
        document["servers"] = ["example.org"]
    file = folder / "config.yaml"
    text = json.dumps(document)
    for path in FOLDERS_OF_FILES:
        text = text.replace(path, f"{folder}/")
    file.write_text(text)
    assert load(file)


def check_web_configuration(snippet: Snippet, folder: Path) -> None:
    file = folder / "web.yaml"
    file.write_text(snippet.text.replace("$2y$10$…", PASSWORD))
    assert main(["check-web-config", str(file)]) == 0


def check_values_of_rules(snippet: Snippet, folder: Path) -> None:
    file = folder / "values.yaml"
    file.write_text(snippet.text)
    assert values.load(file)


def check_pod(snippet: Snippet, folder: Path) -> None:
    """Kubernetes fills in the variable."""
    assert parser().parse_args([each.replace("$(POD_NAME)", "exporter-0") for each in snippet.document["args"]])


def check_prometheus(snippet: Snippet, folder: Path) -> None:
    run_program("promtool", "check", "config", file=folder / "prometheus.yml", text=snippet.text)


def check_rules(snippet: Snippet, folder: Path) -> None:
    run_program("promtool", "check", "rules", file=folder / "rules.yml", text=snippet.text)


def check_route(snippet: Snippet, folder: Path) -> None:
    """With its receivers, of which the root must have one."""
    document = snippet.document
    receivers = {"default", *(each["receiver"] for each in document["route"]["routes"])}
    document["route"]["receiver"] = "default"
    text = json.dumps({**document, "receivers": [{"name": name} for name in sorted(receivers)]})
    run_program("amtool", "check-config", file=folder / "alertmanager.yml", text=text)


def check_modules_of_blackbox(snippet: Snippet, folder: Path) -> None:
    file = folder / "blackbox.yml"
    file.write_text(snippet.text)
    subprocess.run(
        [program("prometheus-blackbox-exporter"), "--config.check", f"--config.file={file}"],
        check=True,
        capture_output=True,
    )


def check_nothing(snippet: Snippet, folder: Path) -> None:
    """The program is not to be had as a package: tests/deploy/test_migrate.py does with the URL what gatus does, and
    json_exporter reads a field that tests/web/api/test_tester_documents.py compares.
    """
    assert yaml.safe_load(snippet.text)


def run_program(name: str, *arguments: str, file: Path, text: str) -> None:
    file.write_text(text)
    ran = subprocess.run([program(name), *arguments, file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


CHECKS: Final[Mapping[str, Callable[[Snippet, Path], None]]] = {
    **dict.fromkeys(("servers", "server_files", "groups", "network", "outbound"), check_configuration),
    **dict.fromkeys(("scrape_configs", "rule_files", "remote_write"), check_prometheus),
    **dict.fromkeys(("job", "exporter_labels"), check_values_of_rules),
    "args": check_pod,
    "endpoints": check_nothing,
    "groups with rules": check_rules,
    "modules": check_modules_of_blackbox,
    "modules with metrics": check_nothing,
    "route": check_route,
    "tls_server_config": check_web_configuration,
}
"""By the first key of a document."""


def first_key(document: Mapping[str, Any]) -> str:
    """Return it, and what tells two formats apart that begin alike."""
    key = next(iter(document))
    parts = document[key] if isinstance(document[key], list) else list(document[key])
    if key == "groups" and "rules" in parts[0]:
        return "groups with rules"
    if key == "modules" and any("metrics" in module for module in document[key].values()):
        return "modules with metrics"
    return key


@pytest.mark.system("promtool")
@pytest.mark.parametrize("snippet", of_kind("yaml"), ids=str)
def test_yaml_is_what_its_reader_expects(snippet: Snippet, folder: Path) -> None:
    assert_valid = CHECKS[first_key(snippet.document)]
    assert_valid(snippet, folder)


# ---------------------------------------------------------------- nginx


@pytest.mark.system("nginx")
@pytest.mark.parametrize("snippet", of_kind("nginx"), ids=str)
def test_nginx_accepts_its_configuration(snippet: Snippet, folder: Path) -> None:
    """With other files and ports."""
    text = snippet.text
    for old, new in {
        FOLDERS_OF_FILES[0]: f"{folder}/",
        "listen 443": "listen 10443",
        "listen 8448": "listen 10444",
    }.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "nginx.conf"
    file.write_text(f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    tested = [program("nginx"), "-t", "-q", "-e", "stderr", "-c", str(file)]
    assert subprocess.run(tested, capture_output=True, text=True, check=False).stderr == ""


# ---------------------------------------------------------------- PromQL


METRICS: Final = set(re.findall(r"matrix_federation_\w+", (ROOT / "docs" / "metrics.md").read_text()))


def queries() -> list[str]:
    in_blocks = [query for snippet in of_kind("promql") for query in re.split(r"\n(?! )", snippet.text.strip())]
    in_tables = [query for page in PAGES for query in QUERY_IN_TABLE.findall(page.read_text())]
    assert len(in_blocks) > 30
    assert len(in_tables) > 10
    return list(dict.fromkeys([*in_blocks, *in_tables]))


@pytest.mark.parametrize("query", queries())
def test_queries_are_about_metrics_that_exist(query: str) -> None:
    """Those of the servers, of the exporter itself, and of recording rules."""
    assert promql_parser.parse(query)
    named = {name.removesuffix("_bucket") for name in re.findall(r"[\w:]*matrix_federation_[\w:]+", query)}
    assert named <= METRICS | RECORDS.keys()
