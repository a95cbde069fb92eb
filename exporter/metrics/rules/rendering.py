"""Fills the templates of the rules. Pure, but for reading the templates of the package."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from exporter.judging.warnings import WarningName
from exporter.metrics.rules.values import Values

_TEMPLATES: Final = Path(__file__).with_name("templates")
_PLACEHOLDER: Final = re.compile(r"\[\[(\w+)\]\]")
_ALERT: Final = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)
_RULE: Final = re.compile(r"^ +- (?:alert|record): ", re.MULTILINE)
_BLANK_LINE: Final = "\n\n"  # between two rules

_FAILING_STAGES: Final = """\
{{ range $position, $failure :=
            printf "max by (probe_stage, reason) (matrix_federation_failure_info{job=%q, server_name=%q})"
            $labels.job $labels.server_name | query | sortByLabel "probe_stage"
            }}{{ if $position }}, {{ end }}{{ .Labels.probe_stage }} ({{ .Labels.reason }}){{ else }}none{{ end }}"""
_DELEGATION: Final = """\
{{ range $position, $way :=
            printf "max by (method, target) (matrix_federation_delegation_info{job=%q, server_name=%q})"
            $labels.job $labels.server_name | query | sortByLabel "target"
            }}{{ if $position }}, {{ end }}{{ .Labels.target }} ({{ .Labels.method }}){{ else }}no known target{{
            end }}"""


def _meaning_of_warning() -> str:
    """Return a Go template that turns the word of a warning into what it means."""
    cases = " else ".join(f'if eq $labels.warning "{each}" }}}}{each.meaning}{{{{' for each in WarningName)
    return f"{{{{ {cases} else }}}}it has a warning{{{{ end }}}}"


@cache
def templates() -> Mapping[str, str]:
    """Return the templates by file name, in which only values are missing."""
    constants = {
        "failing_stages": _FAILING_STAGES,
        "delegation": _DELEGATION,
        "meaning_of_warning": _meaning_of_warning(),
        "own": 'job="[[job]]", role!="peer"',
        "peers": 'job="[[job]]", role="peer"',
        "exporters": "vantage, [[exporters_of_vantage]]",
    }
    return {file.name: _fill(file.read_text(encoding="utf-8"), constants) for file in sorted(_TEMPLATES.glob("*.yml"))}


def render(values: Values) -> Mapping[str, str]:
    """Return the rule files by name."""
    common = {**values.common, "exporters_of_vantage": ", ".join(values.exporter_labels)}
    return {name: _render(template, common, values) for name, template in templates().items()}


def _render(template: str, common: Mapping[str, str], values: Values) -> str:
    return _BLANK_LINE.join(_rules(template, common, values)).rstrip("\n") + "\n"


def _rules(template: str, common: Mapping[str, str], values: Values) -> Iterator[str]:
    """Yield what stands between blank lines, without the alerts that are disabled."""
    for part in template.split(_BLANK_LINE):
        found = _ALERT.search(part)
        if found is None:
            yield _fill(part, common)
        elif values.enabled(alert := found[1]):
            yield _fill(part, {**common, **values.alerts[alert]})


def _fill(template: str, texts: Mapping[str, str]) -> str:
    """Replace the placeholders that have a text, and leave the others."""
    return _PLACEHOLDER.sub(lambda found: texts.get(found[1], found[0]), template)


def rules_that_need(metric: str) -> list[str]:
    """Return the names of the alerts and the recording rules whose expression or text needs a metric."""
    rules = (rule for template in templates().values() for rule in _RULE.split(template)[1:])
    return [rule.split(maxsplit=1)[0] for rule in rules if re.search(rf"\b{metric}\b", rule)]
