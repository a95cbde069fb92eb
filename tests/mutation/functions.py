"""Replace each public function by one that raises, and by one that returns nothing, and see whether a test fails.

`python -m tests.mutation.functions` takes the packages that decide what a probe means; modules can be given instead.
The tests are collected once. A first run notes which test calls which function. Then each mutant has a process of its
own, which runs the tests that call the function: those of its own package first, then the quickest, until one fails.
"""

import argparse
import importlib
import inspect
import multiprocessing
import pkgutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import zip_longest
from multiprocessing.connection import Connection
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Final, TypeVar

import pytest

PACKAGES: Final = ("exporter.model", "exporter.judging", "exporter.probing")
TESTS: Final = (
    *("tests/model", "tests/judging", "tests/probing"),
    *("tests/reports", "tests/metrics", "tests/conformance"),
)
TEST_SECONDS = 10  # for one test: a mutant that is waited for forever counts as killed
TRIAL_SECONDS = 60  # for all tests of a mutant, beside the time that they need without it
NO_END: Final = "did not end"

Result = TypeVar("Result")


# ---------------------------------------------------------------- functions


@dataclass(frozen=True, slots=True)
class Subject:
    """A function that is to be replaced."""

    name: str
    """With its class and module."""
    function: FunctionType

    @property
    def package(self) -> str:
        return ".".join(self.function.__module__.split(".")[:2])


def modules(names: Iterable[str]) -> Iterator[ModuleType]:
    """Import each module; of a package, all modules in it."""
    for name in names:
        module = importlib.import_module(name)
        yield module
        if hasattr(module, "__path__"):
            yield from modules(f"{name}.{inner.name}" for inner in pkgutil.iter_modules(module.__path__))


def subjects(module: ModuleType) -> Iterator[Subject]:
    """Return the public functions that a module defines, and the public methods of its public classes."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if not inspect.isclass(value):
            yield from _subject(module, name, value)
        elif not getattr(value, "_is_protocol", False):  # the methods of a protocol have no body
            for method, attribute in vars(value).items():
                if _is_public_method(method):
                    yield from _subject(module, f"{name}.{method}", attribute)


def _is_public_method(name: str) -> bool:
    """Special methods are public too, except for those that make the members of an enum while it is imported."""
    special = name.startswith("__") and name.endswith("__")
    return name not in {"__new__", "__new_member__"} and (special or not name.startswith("_"))


def _subject(module: ModuleType, name: str, value: object) -> Iterator[Subject]:
    function = inspect.unwrap(_without_descriptor(value))
    # What a dataclass generates has no file.
    if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
        yield Subject(f"{module.__name__}.{name}", function)


def _without_descriptor(value: object) -> Callable[..., object]:
    match value:
        case staticmethod() | classmethod():
            found: object = value.__func__
        case property():
            found = value.fget
        case cached_property():
            found = value.func
        case _:
            found = value
    return found if callable(found) else lambda: None


# ---------------------------------------------------------------- mutants


class Mutation(Enum):
    """What a function does instead."""

    RAISES = "raise RuntimeError('a mutant')"
    RETURNS_NOTHING = "return"

    def code(self, function: FunctionType) -> CodeType:
        """Return the code that replaces the function's own.

        It is of the same kind: a coroutine raises when it is awaited, and a generator that nobody consumes never does.
        """
        asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        definition = f"{'async ' if asynchronous else ''}def mutant(*args, **kwargs):"
        namespace: dict[str, FunctionType] = {}
        exec("\n ".join([definition, self.value, *["yield"] * generator]), namespace)
        return namespace["mutant"].__code__.replace(co_freevars=function.__code__.co_freevars)


@contextmanager
def mutated(function: FunctionType, mutation: Mutation) -> Iterator[None]:
    """Replace the code of a function, so that all that refers to the function, wherever it was imported, calls it."""
    own = function.__code__, function.__defaults__, function.__kwdefaults__
    code = mutation.code(function)
    function.__defaults__ = function.__kwdefaults__ = None  # the code has no parameters that they could belong to
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__, function.__defaults__, function.__kwdefaults__ = own


# ---------------------------------------------------------------- trials


@dataclass(frozen=True, slots=True)
class Trial:
    subject: Subject
    mutation: Mutation
    killed_by: str | None
    """The test that failed, or why there was none; none if the mutant survived."""
    callers: int
    """How many tests call the function."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one test did without any mutant."""

    passed: bool
    seconds: float
    called: frozenset[int]
    """The functions that it called, by their place in the list of subjects."""


class Trials:
    """A plugin for pytest, which runs the collected tests against each mutant instead of once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of modules or packages, which pytest has to be ready for before they are imported."""
        self.done: list[Trial] = []
        self.broken: list[str] = []
        """The tests that fail without a mutant. Nothing is tried while there are any."""
        self._names = names
        self._subjects: list[Subject] = []
        self._reports: list[pytest.TestReport] = []

    def pytest_configure(self) -> None:
        """The first failure of a property is enough: a smaller example is of no interest."""
        from hypothesis import Phase, settings  # noqa: PLC0415 - pytest has to be the first that imports it

        settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        self._subjects = [subject for module in modules(self._names) for subject in subjects(module)]
        observed = _in_child(lambda: self._observe(session), None)
        assert observed is not None, "the tests do not end without a mutant"
        self.broken = [item.nodeid for item, seen in zip(session.items, observed, strict=True) if not seen.passed]
        if not self.broken:
            for place, subject in enumerate(self._subjects):
                self._try_subject(session, subject, _callers(session.items, observed, place, subject))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)

    def _try_subject(self, session: pytest.Session, subject: Subject, callers: list[tuple[pytest.Item, float]]) -> None:
        limit = TRIAL_SECONDS + 3 * sum(seconds for _, seconds in callers)
        tests = [item for item, _ in callers]
        for mutation in Mutation:
            killer = _in_child(lambda: self._killer(tests, subject, mutation), limit)  # noqa: B023 - called at once
            trial = Trial(subject, mutation, NO_END if killer is None else killer or None, len(tests))
            self.done.append(trial)
            session.config.get_terminal_writer().line(line(trial))

    def _killer(self, tests: Sequence[pytest.Item], subject: Subject, mutation: Mutation) -> str:
        """Return the first test that fails; empty if none does."""
        with mutated(subject.function, mutation):
            for test, following in zip_longest(tests, tests[1:]):
                if not self._run(test, following):
                    timed_out = any("Failed: Timeout" in report.longreprtext for report in self._reports)
                    return test.nodeid + ", which timed out" * timed_out
        return ""

    def _observe(self, session: pytest.Session) -> list[Observation]:
        places = {id(subject.function.__code__): place for place, subject in enumerate(self._subjects)}
        called = set[int]()

        def note_call(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and (place := places.get(id(frame.f_code))) is not None:
                called.add(place)

        observed = []
        for test, following in zip_longest(session.items, session.items[1:]):
            called.clear()
            threading.setprofile(note_call)
            sys.setprofile(note_call)
            passed = self._run(test, following)
            sys.setprofile(None)
            threading.setprofile(None)
            observed.append(Observation(passed, sum(each.duration for each in self._reports), frozenset(called)))
        return observed

    def _run(self, test: pytest.Item, following: pytest.Item | None) -> bool:
        """Return whether it passes, fixtures included."""
        terminal = test.config.pluginmanager.get_plugin("terminalreporter")
        if terminal:  # this is a child: its parent has the terminal
            test.config.pluginmanager.unregister(terminal)
        self._reports.clear()
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        return not any(report.failed for report in self._reports)


def _callers(
    tests: Sequence[pytest.Item], observed: Sequence[Observation], place: int, subject: Subject
) -> list[tuple[pytest.Item, float]]:
    """Return the tests that call a function: those of its own package first, then the quickest."""
    own = f"tests/{subject.package.rpartition('.')[2]}/"
    callers = [(item, seen.seconds) for item, seen in zip(tests, observed, strict=True) if place in seen.called]
    return sorted(callers, key=lambda caller: (not caller[0].nodeid.startswith(own), caller[1]))


def _in_child(work: Callable[[], Result], limit: float | None) -> Result | None:
    """Return what `work` returns in a process of its own, or none if that does not end within `limit` seconds."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def child(sending: Connection) -> None:
        sending.send(work())

    process = context.Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(limit) else None
    except EOFError as error:
        raise ChildProcessError("the process that ran the tests ended before it had a result") from error
    finally:
        process.kill()
        process.join()
        ours.close()


# ---------------------------------------------------------------- the result


def line(trial: Trial) -> str:
    name = f"{trial.subject.name} {trial.mutation.name.lower().replace('_', ' ')}"
    if trial.killed_by:
        return f"killed    {name}: {trial.killed_by}"
    return f"SURVIVED  {name}, called by {trial.callers or 'none'} of the tests"


def table(trials: Iterable[Trial]) -> str:
    """Return the counts of each package, as Markdown."""
    functions: dict[str, set[str]] = {}
    mutants: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for trial in trials:
        package = trial.subject.package
        functions.setdefault(package, set()).add(trial.subject.name)
        mutants[package] += 1
        killed[package] += trial.killed_by is not None
    rows = [
        f"| `{name.rpartition('.')[2]}` | {len(found)} | {mutants[name]} | {killed[name]} "
        f"| {mutants[name] - killed[name]} |"
        for name, found in functions.items()
    ]
    return "\n".join(["| package | functions | mutants | killed | survived |", "|---|--:|--:|--:|--:|", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every mutant is killed, 1 if one survives, 2 if tests fail without a mutant."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.functions", description=__doc__)
    parser.add_argument("modules", nargs="*", default=PACKAGES, help="modules or packages, by their dotted names")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="the tests that must notice")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    trials = Trials(chosen.modules)
    options = ["-q", "--no-header", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"]
    status = pytest.main([*options, *chosen.tests], plugins=[trials])
    if trials.broken or not trials.done:
        sys.stderr.write("\n".join(trials.broken or [f"pytest ended with {status!r}"]) + "\n")
        return 2
    sys.stdout.write(f"\n{table(trials.done)}\n\n{time.monotonic() - began:.0f} seconds\n")
    return int(any(trial.killed_by is None for trial in trials.done))


if __name__ == "__main__":
    sys.exit(main())
