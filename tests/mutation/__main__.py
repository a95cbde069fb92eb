"""mutmut, with the mutations that matter here: a check that is taken out, and a bound that no longer bounds.

`python -m tests.mutation run` is mutmut's own command line. What is mutated, and by which tests it is judged, stands in
pyproject.toml. With `MUTATE=checks` there are no other mutations, which takes minutes instead of hours.
"""

import os
from collections import Counter
from collections.abc import Iterable

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation.mutators import mutation_operators, operator_string
from mutmut.runners.harness import PytestRunner
from mutmut.state import state

BOUNDS = ("min", "max")


def without_check(node: cst.If) -> Iterable[cst.If]:
    """`if condition:` as if the condition never held."""
    yield node.with_changes(test=cst.Name("False"), whitespace_before_test=cst.SimpleWhitespace(" "))


def without_bound(node: cst.Call) -> Iterable[cst.BaseExpression]:
    """`min(value, bound)` as if there were only one of them."""
    if isinstance(node.func, cst.Name) and node.func.value in BOUNDS and len(node.args) == 2:
        yield from (argument.value for argument in node.args if not argument.keyword and not argument.star)


def fastest_first(runner: PytestRunner, tests: Iterable[str]) -> list[str]:
    """Arguments of pytest. Tests are named without their parameters, whose texts it may not find again; none: all."""
    seconds: Counter[str] = Counter()
    for test in tests:
        seconds[test.partition("[")[0]] += state().duration_by_test.get(test, 0)
    named = sorted(seconds, key=seconds.__getitem__)
    return ["-x", "-q", *(named or runner._pytest_add_cli_args_test_selection)]


if __name__ == "__main__":
    # Texts are for people: what they say is judged by people, and by the tests of the texts that matter.
    others = [(kind, mutate) for kind, mutate in mutation_operators if mutate is not operator_string]
    checks = [(cst.If, without_check), (cst.Call, without_bound)]
    mutation_operators[:] = checks if os.environ.get("MUTATE") == "checks" else [*others, *checks]
    PytestRunner._pytest_args_regular_run = fastest_first
    cli()
