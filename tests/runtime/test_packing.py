"""Values that are packed come back equal."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import ip_address

import pytest

import exporter.history
import exporter.judging
import exporter.model
from exporter.runtime.packing import Packer


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Box:
    content: object


@dataclass(frozen=True, slots=True)
class Pair:
    first: object
    second: object


VALUES = [
    *(None, True, 0, 2**70, 0.1, "text \N{SNOWMAN}", b"bytes", (), (1, (2,)), {"a": 1}, frozenset({1})),
    *(Colour.RED, datetime(2026, 11, 29, 12, tzinfo=UTC), ip_address("192.0.2.1"), ip_address("2001:db8::1")),
    *(Empty(), Box(None), Box(Box(Colour.RED)), Pair(Empty(), Pair(1, {Colour.RED: Box(())}))),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_equal(value: object) -> None:
    packer = Packer[object]()
    unpacked = packer.unpack(packer.pack(value, typical=False))
    assert unpacked == value
    assert type(unpacked) is type(value)


def test_what_was_packed_without_the_dictionary_or_with_it_is_unpacked() -> None:
    packer, pair = Packer[object](), Pair("a text that most of them have", 1)
    before, first, after = (packer.pack(pair, typical=typical) for typical in (False, True, True))
    assert [packer.unpack(packed) for packed in (before, first, after)] == [pair] * 3
    assert len(before) == len(first) > 2 * len(after)


def test_a_long_value_does_not_become_the_dictionary() -> None:
    packer, text = Packer[object](), "x" * 10_000
    packer.pack(text, typical=True)
    assert repr(packer) == "<Packer with a dictionary of 0 bytes>"
    packer.pack("x", typical=True)
    assert repr(packer) != "<Packer with a dictionary of 0 bytes>"


def dataclasses_of(package: object) -> Iterator[type]:
    """Yield every dataclass of a package and those below it."""
    assert inspect.ismodule(package)
    yield from (each for _, each in inspect.getmembers(package, inspect.isclass) if is_dataclass(each))
    for module in pkgutil.iter_modules(getattr(package, "__path__", ()), f"{package.__name__}."):
        yield from dataclasses_of(importlib.import_module(module.name))


@pytest.mark.parametrize(
    "package", [exporter.model, exporter.judging, exporter.history], ids=lambda each: each.__name__
)
def test_what_is_kept_can_be_made_of_its_fields(package: object) -> None:
    """So they can be packed: each is called with the values of its fields, in order."""
    found = set(dataclasses_of(package))
    assert found
    for each in found:
        assert all(field.init and not field.kw_only for field in fields(each)), each
