"""mutmut with two more mutations: a check that never holds, and a bound that no longer limits anything.

`python -m tests.mutation run` is mutmut's own command line. pyproject.toml lists the modules to mutate and the tests to
run. With `MUTATE=checks` only these two mutations are made, which takes minutes instead of hours.
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
    """Yield `if False:` instead of `if condition:`."""
    yield node.with_changes(test=cst.Name("False"), whitespace_before_test=cst.SimpleWhitespace(" "))


def without_bound(node: cst.Call) -> Iterable[cst.BaseExpression]:
    """Yield each of the two arguments of `min(value, bound)` instead of the call."""
    if isinstance(node.func, cst.Name) and node.func.value in BOUNDS and len(node.args) == 2:
        yield from (argument.value for argument in node.args if not argument.keyword and not argument.star)


def fastest_first(runner: PytestRunner, tests: Iterable[str]) -> list[str]:
    """Return the arguments of pytest: the given tests, quickest first, or all selected tests if none is given.

    The tests are named without their parameters, because pytest may not find the text of a parameter again.
    """
    seconds: Counter[str] = Counter()
    for test in tests:
        seconds[test.partition("[")[0]] += state().duration_by_test.get(test, 0)
    named = sorted(seconds, key=seconds.__getitem__)
    return ["-x", "-q", *(named or runner._pytest_add_cli_args_test_selection)]


if __name__ == "__main__":
    # Strings are not mutated: most are sentences for people, and those that matter have tests of their own.
    others = [(kind, mutate) for kind, mutate in mutation_operators if mutate is not operator_string]
    checks = [(cst.If, without_check), (cst.Call, without_bound)]
    mutation_operators[:] = checks if os.environ.get("MUTATE") == "checks" else [*others, *checks]
    PytestRunner._pytest_args_regular_run = fastest_first
    cli()
