"""The tools of fuzzing themselves."""

import pytest

from tests.fuzz.__main__ import Run, read
from tests.fuzz.mutations import MAX_BYTES, mutated
from tests.fuzz.table import TARGETS, Target
from tests.fuzz.test_targets import tried

ENDED = """\
#2\tINITED cov: 40 ft: 52 corp: 2/11b exec/s: 0 rss: 60Mb
#9\tNEW    cov: 41 ft: 53 corp: 3/12b lim: 4 exec/s: 0 rss: 60Mb
#1000\tDONE   cov: 47 ft: 60 corp: 9/99b lim: 4 exec/s: 500 rss: 61Mb
stat::number_of_executed_units: 1000
"""
CRASHED = """\
#2\tINITED cov: 40 ft: 52 corp: 2/11b exec/s: 0 rss: 60Mb
artifact_prefix='build/fuzz/keys-'; Test unit written to build/fuzz/keys-crash-1
stat::number_of_executed_units: 7
"""
NOT_BEGUN = "ModuleNotFoundError: No module named 'atheris'\n"


@pytest.mark.parametrize(
    ("output", "failed", "run", "row"),
    [
        (ENDED, False, Run("keys", 1000, 2, (40, 47), (), failed=False), "keys 1000 500 47 7 0"),
        (CRASHED, True, Run("keys", 7, 2, (40, 40), ("build/fuzz/keys-crash-1",), failed=True), "keys 7 3 40 0 1"),
        (NOT_BEGUN, True, Run("keys", 0, 2, (0, 0), (), failed=True), "keys 0 0 0 0 1"),
    ],
    ids=["to the end", "to a crash", "not at all"],
)
def test_a_run_is_read_from_what_libfuzzer_says(output: str, *, failed: bool, run: Run, row: str) -> None:
    """One that fails counts as a crash, whatever made it fail."""
    assert read(TARGETS["keys"], 2, output, failed=failed) == run
    assert str(run).split() == row.split()


def test_changes_are_made_anew_by_their_seed() -> None:
    """All are bounded, and no two hundred are the same."""
    corpus = [b"example.org", b"x" * MAX_BYTES]
    made = [mutated(seed, corpus) for seed in range(200)]
    assert made == [mutated(seed, corpus) for seed in range(200)]
    assert max(map(len, made)) <= MAX_BYTES
    assert len(set(made)) > 150


def test_what_breaks_a_promise_is_shown_with_its_origin() -> None:
    def breaks(written: bytes) -> None:
        assert written != b"\0"

    with pytest.raises(AssertionError) as broken:
        tried(Target(breaks, 0), b"\0", "the change with the seed 3")
    assert broken.value.__notes__ == [r"breaks(b'\x00'), the change with the seed 3"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_inputs_to_begin_with(target: Target) -> None:
    assert len(target.seeds()) >= 3
