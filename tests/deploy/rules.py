"""What is shipped for Prometheus and Alertmanager, as YAML says it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"


def content(file: Path) -> dict[str, Any]:
    read = yaml.safe_load(file.read_text())
    assert isinstance(read, dict)
    return read


def rules() -> Iterator[dict[str, Any]]:
    for file in RULE_FILES:
        for group in content(file)["groups"]:
            yield from group["rules"]


RULES = tuple(rules())
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in RULES if "record" in rule}
