"""The short run: the initial inputs of every target, and some mutations of them. `make fuzz` is the long run."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fuzz.mutations import mutate
from tests.fuzz.table import TARGETS, Target

# Warnings of cryptography about unusual certificates: the exporter logs them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning"),
]

SECONDS = 1.0  # for the mutations of one target; a slow machine tries fewer of them


@pytest.fixture(autouse=True)
def disable_logging() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", [target for target in TARGETS.values() if target.files], ids=lambda each: each.name)
def test_files_of_other_tests_are_inputs(target: Target) -> None:
    assert len(target.seeds()) > len(replace(target, files="").seeds())


def run_with_note(target: Target, data: bytes, origin: str) -> None:
    """Run a target, and add the input to its exception."""
    try:
        target.run(data)
    except Exception as error:
        error.add_note(f"{target.name}({data!r}), {origin}")
        raise


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_initial_inputs(target: Target) -> None:
    seeds = target.seeds()
    assert seeds
    for number, data in enumerate(seeds, 1):
        run_with_note(target, data, f"initial input {number}")


@pytest.mark.fuzz
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_mutated_inputs(target: Target) -> None:
    seeds, end = target.seeds(), time.monotonic() + SECONDS
    assert target.mutations > 0
    for number in range(target.mutations):
        if time.monotonic() > end:
            break
        run_with_note(target, mutate(number, seeds), f"the mutation with seed {number}")
