"""The short run: the stored inputs of every target, and some small changes to them. `make fuzz` is the long one."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.table import TARGETS, Target

# Of cryptography, on odd certificates: the exporter logs them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning"),
]

SECONDS = 1.0  # for the changes to one target's inputs; a slow machine tries fewer of them


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", [target for target in TARGETS.values() if target.files], ids=lambda each: each.name)
def test_files_of_other_tests_are_inputs(target: Target) -> None:
    assert len(target.seeds()) > len(replace(target, files="").seeds())


def tried(target: Target, written: bytes, origin: str) -> None:
    try:
        target.run(written)
    except Exception as error:
        error.add_note(f"{target.name}({written!r}), {origin}")
        raise


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_stored_inputs(target: Target) -> None:
    """None of them breaks a promise."""
    seeds = target.seeds()
    assert seeds
    for number, written in enumerate(seeds, 1):
        tried(target, written, f"stored input {number}")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_changed_inputs(target: Target) -> None:
    """None of them breaks a promise."""
    seeds, end = target.seeds(), time.monotonic() + SECONDS
    assert target.mutations > 0
    for number in range(target.mutations):
        if time.monotonic() > end:
            break
        tried(target, mutated(number, seeds), f"the change with the seed {number}")
