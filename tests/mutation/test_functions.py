"""The script that replaces functions, on a module made for it."""

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.mutation.functions import Mutation, Subject, Trial, _in_child, mutated, subjects, table

ROOT = Path(__file__).parents[2]
SHOP = """
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from json import dumps
from typing import Protocol


def price(item, currency="EUR", *, tax=0.2):
    return len(item), currency, tax


def prices(items):
    for item in items:
        yield price(item)


async def order(item):
    return item


async def orders(items):
    for item in items:
        yield await order(item)


@lru_cache
def stock(item):
    return 3


@contextmanager
def opened():
    yield "open"


def _secret():
    return 1


class Till(Protocol):
    def pay(self):
        ...


class _Drawer:
    def pull(self):
        return 1


@dataclass(frozen=True)
class Item:
    name: str

    def __str__(self):
        return self.name

    @property
    def size(self):
        return len(self.name)

    @cached_property
    def shelf(self):
        return 7

    @classmethod
    def named(cls, name):
        return cls(name)

    @staticmethod
    def default():
        return Item("tea")

    def _weigh(self):
        return 1


class Book(Item):
    def __new__(cls, name):
        return super().__new__(cls)

    def __str__(self):
        return "a book: " + super().__str__()
"""
PUBLIC = [
    *("price", "prices", "order", "orders", "stock", "opened"),
    *("Item.__str__", "Item.size", "Item.shelf", "Item.named", "Item.default", "Book.__str__"),
]


@pytest.fixture
def shop(tmp_path: Path) -> ModuleType:
    file = tmp_path / "shop.py"
    file.write_text(SHOP)
    spec = importlib.util.spec_from_file_location("shop", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(shop: ModuleType, name: str) -> FunctionType:
    return next(subject.function for subject in subjects(shop) if subject.name == f"shop.{name}")


def test_public_functions_and_methods_are_found(shop: ModuleType) -> None:
    """What is imported, private, generated, or part of a protocol, is left out."""
    assert [subject.name for subject in subjects(shop)] == [f"shop.{name}" for name in PUBLIC]


USES: dict[str, Callable[[Any], object]] = {
    "price": lambda shop: shop.price("tea"),
    "prices": lambda shop: list(shop.prices(["tea"])) or None,
    "order": lambda shop: asyncio.run(shop.order("tea")),
    "orders": lambda shop: asyncio.run(collect(shop.orders(["tea"]))) or None,
    "stock": lambda shop: shop.stock("tea"),
    "Item.size": lambda shop: shop.Item("tea").size,
    "Item.shelf": lambda shop: shop.Item("tea").shelf,
    "Item.named": lambda shop: shop.Item.named("tea"),
    "Item.default": lambda shop: shop.Item.default(),
    "Book.__str__": lambda shop: shop.Book("tea").__str__(),
}


async def collect(items: Any) -> list[object]:
    return [item async for item in items]


@pytest.mark.parametrize("name", USES)
def test_function_raises(name: str, shop: ModuleType) -> None:
    with mutated(found(shop, name), Mutation.RAISES), pytest.raises(RuntimeError, match=r"^a mutant$"):
        USES[name](shop)


@pytest.mark.parametrize("name", USES)
def test_function_returns_nothing(name: str, shop: ModuleType) -> None:
    """A generator yields nothing, and a coroutine returns None when it is awaited."""
    with mutated(found(shop, name), Mutation.RETURNS_NOTHING):
        assert USES[name](shop) is None


@pytest.mark.parametrize("mutation", Mutation)
def test_function_is_restored(mutation: Mutation, shop: ModuleType) -> None:
    """With its defaults."""
    with mutated(found(shop, "price"), mutation):
        pass
    assert shop.price("tea") == (3, "EUR", 0.2)


def test_generator_that_is_not_consumed_does_not_raise(shop: ModuleType) -> None:
    """A test that forgets to consume it must not count as one that notices."""
    with mutated(found(shop, "prices"), Mutation.RAISES):
        prices = shop.prices(["tea"])
    with pytest.raises(RuntimeError, match=r"^a mutant$"):
        next(prices)


def test_every_reference_to_the_function_is_mutated(shop: ModuleType) -> None:
    """One that was imported earlier, or stored in a table."""
    known = {"price": shop.price}
    with mutated(found(shop, "price"), Mutation.RETURNS_NOTHING):
        assert known["price"]("tea") is None
        assert list(shop.prices(["tea"])) == [None]


# ---------------------------------------------------------------- child processes


def test_child_returns_its_result_and_changes_nothing_here(shop: ModuleType) -> None:
    def work() -> object:
        with mutated(found(shop, "price"), Mutation.RETURNS_NOTHING):
            return shop.price("tea"), os.getpid() != parent

    parent = os.getpid()
    assert _in_child(work, 60) == (None, True)
    assert shop.price("tea") == (3, "EUR", 0.2)


def test_child_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    assert _in_child(lambda: time.sleep(60), 0.01) is None
    assert time.monotonic() - began < 30


def test_child_that_dies_is_not_taken_for_a_result() -> None:
    with pytest.raises(ChildProcessError, match="ended before it had a result"):
        _in_child(lambda: os._exit(3), 60)


# ---------------------------------------------------------------- whole runs


NOTICES = "import shop\ndef test_price():\n    assert shop.price('tea') == (3, 'EUR', 0.2)\n"
FORGETS = "import shop\ndef test_prices():\n    shop.prices(['tea'])\n    shop.stock('tea')\n"
FAILS = "def test_nothing():\n    assert False\n"


def run(folder: Path, test: str) -> "subprocess.CompletedProcess[str]":
    (folder / "shop.py").write_text(SHOP.partition("class Till")[0])
    (folder / "test_shop.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "tests.mutation.functions", "shop", "--tests", "test_shop.py"]
    path = {"PYTHONPATH": f"{ROOT}:{folder}"}
    return subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True, check=False)


@pytest.mark.subprocess
def test_mutants_that_survive_are_listed(tmp_path: Path) -> None:
    """One is a generator that the test does not consume, another one a result that it does not compare."""
    ended = run(tmp_path, NOTICES + FORGETS)
    by = "test_shop.py::test_price"
    assert [line for line in ended.stdout.splitlines() if line.startswith(("killed", "SURVIVED"))] == [
        f"killed    shop.price raises: {by}",
        f"killed    shop.price returns nothing: {by}",
        "SURVIVED  shop.prices raises, called by 1 of the tests",
        "SURVIVED  shop.prices returns nothing, called by 1 of the tests",
        "SURVIVED  shop.order raises, called by none of the tests",
        "SURVIVED  shop.order returns nothing, called by none of the tests",
        "SURVIVED  shop.orders raises, called by none of the tests",
        "SURVIVED  shop.orders returns nothing, called by none of the tests",
        "killed    shop.stock raises: test_shop.py::test_prices",
        "SURVIVED  shop.stock returns nothing, called by 1 of the tests",
        "SURVIVED  shop.opened raises, called by none of the tests",
        "SURVIVED  shop.opened returns nothing, called by none of the tests",
    ]
    assert "| `shop` | 6 | 12 | 3 | 9 |" in ended.stdout
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.subprocess
def test_tests_that_fail_anyway_prove_nothing(tmp_path: Path) -> None:
    ended = run(tmp_path, NOTICES + FAILS)
    assert (ended.returncode, ended.stderr) == (2, "test_shop.py::test_nothing\n")
    assert "killed" not in ended.stdout


def test_counts_are_those_of_each_package(shop: ModuleType) -> None:
    price, stock = (Subject(f"shop.{name}", found(shop, name)) for name in ("price", "stock"))
    trials = [
        Trial(price, Mutation.RAISES, "test", 1),
        Trial(price, Mutation.RETURNS_NOTHING, "test", 1),
        Trial(stock, Mutation.RAISES, None, 0),
    ]
    assert table(trials).splitlines()[2:] == ["| `shop` | 2 | 3 | 2 | 1 |"]
