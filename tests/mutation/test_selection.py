"""What pyproject.toml lists for mutmut must exist: mutmut passes over a path that does not."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTMUT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]


def test_mutated_modules_exist() -> None:
    assert MUTMUT["only_mutate"]
    assert [path for path in MUTMUT["only_mutate"] if not (ROOT / path).is_file()] == []


def test_selected_tests_exist() -> None:
    assert MUTMUT["pytest_add_cli_args_test_selection"]
    for selected in MUTMUT["pytest_add_cli_args_test_selection"]:
        path, _, test = selected.partition("::")
        assert (ROOT / path).exists(), selected
        if test:
            assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), selected
