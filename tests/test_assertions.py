"""Every test can fail: it asserts something, and not only in a loop that may run zero times."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RAISING = {"pytest.raises", "pytest.fail"}


def each_test(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield node


def certain_assertions(node: ast.AST) -> Iterator[ast.AST]:
    """Return the assertions in a test, without those in inner functions and in loops that may run zero times."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Assert) or (isinstance(inner, ast.Call) and asserts(inner)):
            yield inner
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.While, ast.AsyncFor)):
            continue
        elif not isinstance(inner, ast.For) or has_items(inner.iter):
            yield from certain_assertions(inner)


def asserts(call: ast.Call) -> bool:
    """Whether it is one of pytest, or a helper that is named after its assertion."""
    called = ast.unparse(call.func)
    return called in RAISING or called.startswith("assert_")


def has_items(iterated: ast.expr) -> bool:
    """Whether this can be seen in the test itself: it is written out, or a range up to a number."""
    if isinstance(iterated, ast.Call) and ast.unparse(iterated.func) == "range":
        return all(isinstance(bound, ast.Constant) for bound in iterated.args)
    return isinstance(iterated, (ast.Tuple, ast.List)) and bool(iterated.elts)


def cannot_fail(source: str) -> list[str]:
    return [test.name for test in each_test(ast.parse(source)) if not list(certain_assertions(test))]


def test_every_test_asserts_something() -> None:
    """Before a loop over what may be empty, assert that it is not; what must not raise has a result to compare."""
    files = sorted(HERE.rglob("test_*.py"))
    assert len(files) > 100
    assert {str(file.relative_to(HERE)): found for file in files if (found := cannot_fail(file.read_text()))} == {}


@pytest.mark.parametrize(
    "body",
    [
        "run()",
        "for each in found(): assert each",
        "for each in []: assert each",
        "while found(): assert True",
        "def inner(): assert False",
        "run(lambda: fail())",
    ],
)
def test_test_that_cannot_fail_is_found(body: str) -> None:
    assert cannot_fail(f"def test_it():\n    {body}") == ["test_it"]


@pytest.mark.parametrize(
    "body",
    [
        "assert run()",
        "for each in (1, 2): assert each",
        "for _ in range(2): assert run()",
        "with pytest.raises(ValueError): run()",
        "assert_nothing_is_wrong()",
    ],
)
def test_test_that_can_fail_is_not(body: str) -> None:
    assert cannot_fail(f"async def test_it():\n    {body}") == []
