"""The tools for fuzzing."""

import pytest

from tests.fuzz.__main__ import Run, parse_output
from tests.fuzz.mutations import MAX_BYTES, mutate
from tests.fuzz.table import TARGETS, Target
from tests.fuzz.test_targets import run_with_note

COMPLETE_OUTPUT = """\
#2\tINITED cov: 40 ft: 52 corp: 2/11b exec/s: 0 rss: 60Mb
#9\tNEW    cov: 41 ft: 53 corp: 3/12b lim: 4 exec/s: 0 rss: 60Mb
#1000\tDONE   cov: 47 ft: 60 corp: 9/99b lim: 4 exec/s: 500 rss: 61Mb
stat::number_of_executed_units: 1000
"""
CRASH_OUTPUT = """\
#2\tINITED cov: 40 ft: 52 corp: 2/11b exec/s: 0 rss: 60Mb
artifact_prefix='build/fuzz/keys-'; Test unit data to build/fuzz/keys-crash-1
stat::number_of_executed_units: 7
"""
FAILED_START_OUTPUT = "ModuleNotFoundError: No module named 'atheris'\n"


@pytest.mark.parametrize(
    ("output", "failed", "run", "row"),
    [
        (COMPLETE_OUTPUT, False, Run("keys", 1000, 2, (40, 47), (), failed=False), "keys 1000 500 47 7 0"),
        (CRASH_OUTPUT, True, Run("keys", 7, 2, (40, 40), ("build/fuzz/keys-crash-1",), failed=True), "keys 7 3 40 0 1"),
        (FAILED_START_OUTPUT, True, Run("keys", 0, 2, (0, 0), (), failed=True), "keys 0 0 0 0 1"),
    ],
    ids=["complete", "crash", "failed start"],
)
def test_parses_the_output_of_libfuzzer(output: str, *, failed: bool, run: Run, row: str) -> None:
    """A run that fails for another reason counts as a crash."""
    assert parse_output(TARGETS["keys"], 2, output, failed=failed) == run
    assert str(run).split() == row.split()


def test_the_same_seed_makes_the_same_mutations() -> None:
    """Mutated inputs are bounded, and most of them differ."""
    corpus = [b"example.org", b"x" * MAX_BYTES]
    mutated = [mutate(seed, corpus) for seed in range(200)]
    assert mutated == [mutate(seed, corpus) for seed in range(200)]
    assert max(map(len, mutated)) <= MAX_BYTES
    assert len(set(mutated)) > 150


def test_a_failure_is_reported_with_its_input() -> None:
    def fail_on_zero(data: bytes) -> None:
        assert data != b"\0"

    with pytest.raises(AssertionError) as caught:
        run_with_note(Target(fail_on_zero, 0), b"\0", "the mutation with seed 3")
    assert caught.value.__notes__ == [r"fail_on_zero(b'\x00'), the mutation with seed 3"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_initial_inputs(target: Target) -> None:
    assert len(target.seeds()) >= 3
