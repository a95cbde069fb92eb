"""The store of the schedule's jobs, which must do what APScheduler's own does."""

import gc
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from hypothesis import given
from hypothesis import strategies as st

from exporter.scheduling.job_store import JobStore
from tests.properties import PATIENT


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def job(name: str, due: float | None) -> Any:
    return SimpleNamespace(id=name, next_run_time=None if due is None else at(due))


def applied(store: BaseJobStore, operation: str, name: str, due: float | None) -> str:
    """Apply an operation, and return the name of its error; empty if there is none."""
    known = store.lookup_job(name)
    try:
        if operation == "add":
            store.add_job(job(name, due))
        elif operation == "remove":
            store.remove_job(name)
        elif operation == "update" and known:
            known.next_run_time = None if due is None else at(due)  # a job changes first, and then it is updated
            store.update_job(known)
        elif operation == "update":
            store.update_job(job(name, due))
        else:
            store.remove_all_jobs()
    except (ConflictingIdError, JobLookupError) as error:
        return type(error).__name__
    return ""


def shown(store: BaseJobStore) -> tuple[list[str], list[list[str]], datetime | None]:
    """Return all jobs, those that are due at some times, and the next time."""
    due = [[each.id for each in store.get_due_jobs(at(seconds))] for seconds in range(-1, 5)]
    return [each.id for each in store.get_all_jobs()], due, store.get_next_run_time()


def outcomes(store: BaseJobStore, applications: list[tuple[str, str, float | None]]) -> list[object]:
    """Return the error of each operation, and what the store shows after it."""
    return [(applied(store, *operation), shown(store)) for operation in applications]


operations = st.tuples(
    st.sampled_from(["add", "add", "update", "update", "remove", "remove_all"]),
    st.sampled_from("abcd"),
    st.none() | st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0]),
)


@PATIENT
@given(st.lists(operations, max_size=30))
def test_it_does_what_that_of_apscheduler_does(applications: list[tuple[str, str, float | None]]) -> None:
    """Jobs that are due at the same time, or paused, are in the order of their identifiers."""
    assert outcomes(JobStore(), applications) == outcomes(MemoryJobStore(), applications)


def test_the_garbage_collector_traverses_nothing_but_one_reference_to_each_job() -> None:
    """Two tuples of each would make a full collection twice as long."""
    store, watched = JobStore(), job("a", 1)
    store.add_job(watched)
    watched.next_run_time = at(2)
    store.update_job(watched)
    gc.collect()
    assert [type(each) for each in gc.get_referrers(watched)] == [dict]


def test_repr_counts_the_jobs() -> None:
    store = JobStore()
    store.add_job(job("a", None))
    assert repr(store) == "<JobStore 1 jobs>"


def test_it_is_empty_after_a_shutdown() -> None:
    store = JobStore()
    store.add_job(job("a", 1))
    store.shutdown()
    with pytest.raises(JobLookupError):
        store.remove_job("a")
