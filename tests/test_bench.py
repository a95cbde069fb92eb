"""The results of benchmarks are compared with their targets, saved and shown, and their parts work."""

import asyncio
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest
from dns.message import from_wire, make_query

from exporter.judging.verdict import federates
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from exporter.model.report import Report
from tests.bench import held_loop
from tests.bench.app import BlockMeter
from tests.bench.blackbox import PROGRAM, version_of
from tests.bench.generated_reports import generate_reports, generate_servers
from tests.bench.held_loop import Hold, WatchedLoopLag, places
from tests.bench.load import measurement_errors
from tests.bench.readme import (
    BEGIN,
    END,
    HANDSHAKE,
    PROBE,
    VERIFICATIONS,
    machine_lines,
    target_lines,
    ten_times_lines,
    with_lines,
)
from tests.bench.responder import ADDRESS, answer
from tests.bench.rows import Row, at_least, at_most, merge, parse, quantile, read, write
from tests.programs import program
from tests.sample_reports import MATRIX_ENDPOINT, delegated_by_well_known, healthy, tls_session, watched_server
from tests.scrapes import board_of, text_of

ROWS = [
    Row("cost: a probe", 2.5, "ms"),
    Row("load: CPU, share of one core", 25, "%", "<= 40", met=True),
    Row("load: probes skipped", 3, "", "<= 0", met=False),
]


def test_a_row_is_the_median_of_its_values_compared_with_the_target() -> None:
    assert Row.of("x: y", [3.0, 1.0, 2.0], "s") == Row("x: y", 2.0, "s", None, None)
    assert Row.of("x: y", [3.0, 1.0, 2.0], "s", at_most(2)) == Row("x: y", 2.0, "s", "<= 2", met=True)
    assert Row.of("x: y", 2.1, "", at_most(2)) == Row("x: y", 2.1, "", "<= 2", met=False)
    assert Row.of("x: y", 1.69, "", at_least(1.7)) == Row("x: y", 1.69, "", ">= 1.7", met=False)
    assert Row.of("x: y", 1.7, "", at_least(1.7)) == Row("x: y", 1.7, "", ">= 1.7", met=True)


def test_rows_are_kept_as_json(tmp_path: Path) -> None:
    """They are an array of objects, each on a line of its own."""
    file = tmp_path / "build" / "bench.json"
    assert read(file) == []
    write(ROWS, file)
    assert read(file) == ROWS
    first = '{"name": "cost: a probe", "value": 2.5, "unit": "ms", "target": null, "met": null}'
    assert file.read_text().splitlines()[1] == f"{first},"
    assert parse(first) == ROWS[0]


def test_rows_of_other_benchmarks_stay() -> None:
    """The rows of a benchmark that was run are all replaced."""
    fresh = [Row("load: probes skipped", 0, "", "<= 0", met=True)]
    assert merge(ROWS, fresh) == [ROWS[0], *fresh]


@pytest.mark.parametrize(
    ("row", "formatted"),
    [
        (Row("a", 25.34, "%"), "25.3 %"),
        (Row("a", 0.0001234, "s"), "0.000123 s"),
        (Row("a", 20_000), "20,000"),
        (Row("a", 1.196), "1.2"),
    ],
)
def test_values_are_formatted_with_their_unit(row: Row, formatted: str) -> None:
    assert row.formatted == formatted


def test_the_readme_shows_results_with_a_target() -> None:
    """The rest of the text and the markers stay, so the results can be replaced again."""
    once = with_lines(f"Above\n{BEGIN}\nold\n{END}\nBelow\n", target_lines(ROWS))
    assert once == (
        f"Above\n{BEGIN}\n| | measured | target | met |\n|---|---|---|---|\n"
        "| load: CPU, share of one core | 25 % | <= 40 | yes |\n| load: probes skipped | 3 | <= 0 | NO |\n"
        f"{END}\nBelow\n"
    )
    assert with_lines(once, target_lines(ROWS)) == once


def test_costs_are_converted_by_the_handshake_of_a_machine() -> None:
    """A probe of four handshakes of 1.5 ms takes 6 ms, 67 of them a second two fifths of a core."""
    measured = [Row(HANDSHAKE, 1.5, "ms"), Row(PROBE, 4.0), Row(VERIFICATIONS, 2.4)]
    sentence, _, _, _, fast, own, slow = machine_lines(measured)
    assert sentence == "A bare handshake takes 2.4 verifications, and a probe takes 4 bare handshakes."
    assert own == "| measured | 1.5 ms | 6 ms | 40 % of a core | 111 |"
    assert [line.split("|")[2:4] for line in (fast, slow)] == [[" 0.8 ms ", " 3.2 ms "], [" 3.2 ms ", " 13 ms "]]


def test_ten_times_is_shown_without_its_name() -> None:
    rows = [*ROWS, Row("ten_times: memory", 3.0, "MiB")]
    assert list(ten_times_lines(rows))[3:] == ["| memory | 3 MiB |"]


def test_there_is_no_table_of_what_was_not_measured() -> None:
    assert list(ten_times_lines(ROWS)) == []


@pytest.mark.parametrize("file", ["README.md", "docs/scaling.md"])
def test_the_documents_have_the_markers(file: str) -> None:
    text = Path(file).read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)


def test_quantiles_are_values_of_the_sample() -> None:
    assert [quantile([3, 1, 2, 4], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 3, 4, 4]


def test_generated_reports_are_successes_and_differ() -> None:
    """Each has a name and values of its own. Every call generates the same servers."""
    watched = generate_servers(50)
    assert len({server.server_name for server in watched}) == 50
    assert generate_servers(50) == watched
    generated = list(generate_reports(watched))
    assert all(federates(report) for report in generated)
    assert len({report.seconds for report in generated}) == 50


def test_measurement_errors_are_the_differences_from_the_true_durations() -> None:
    """They are read as `load` exposes them, with labels. Servers whose timings are unreliable are ignored."""
    reports = [reporting_true_durations("a.test"), replace(reporting_true_durations("b.test"), stalled_seconds=1.0)]
    watched = [watched_server(report.server_name.text, labels=(("team", "a"),)) for report in reports]
    text = text_of(board_of(watched, *reports)).encode()
    errors = {
        stage: [round(error, 6) for error in measurement_errors(text, stage)] for stage in ("tcp", "tls", "version")
    }
    assert errors == {"tcp": [0.001], "tls": [0.001], "version": [0.002]}


def reporting_true_durations(server_name: str) -> Report:
    """The handshake took 3 ms, and the version 50."""
    endpoint = healthy(MATRIX_ENDPOINT, tls_session(server_name))
    measured = replace(
        endpoint,
        tcp=Passed(0.001, None),
        tls=Passed(0.004, tls_session(server_name)),
        version=Passed(0.052, Software("0.003", "0.050")),
    )
    return replace(delegated_by_well_known(server_name), endpoints=(measured,))


def test_the_place_that_holds_the_loop_is_named() -> None:
    """The innermost function first; those of the event loop are left out."""

    def inner() -> FrameType | None:
        return sys._getframe()

    first, second, *_ = places(inner())
    assert (first, second) == ("tests.test_bench.inner", "tests.test_bench.test_the_place_that_holds_the_loop_is_named")


async def test_the_longest_hold_is_its_own_work_and_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping is no work: another process may have had the core."""
    monkeypatch.setattr(WatchedLoopLag, "file", tmp_path / "held.json", raising=False)
    assert held_loop.read(tmp_path / "held.json") == Hold()
    async with WatchedLoopLag(lambda _: None):
        await asyncio.sleep(0.06)
        time.sleep(0.3)  # noqa: ASYNC251 - it must block
        await asyncio.sleep(0.06)
        end = time.thread_time() + 0.15
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0.06)
    found = held_loop.read(tmp_path / "held.json")
    assert 0.05 < found.seconds < 0.3
    assert found.where.startswith("tests.test_bench.test_the_longest_hold")


def test_blackbox_exporter_says_its_version() -> None:
    assert re.fullmatch(r"blackbox_exporter \d+\.\d+\.\d+", version_of(program(PROGRAM)))


async def test_the_longest_block_of_the_event_loop_is_measured_in_cpu_time() -> None:
    """A function that only sleeps, or waits for a core, takes no CPU time."""
    async with BlockMeter() as meter:
        time.sleep(0.2)  # noqa: ASYNC251 - it must block
        await asyncio.sleep(0)
        end = time.thread_time() + 0.03
        while time.thread_time() < end:
            pass
    assert 0.03 <= meter.longest < 0.2


@pytest.mark.parametrize(("rdtype", "address"), [("A", ADDRESS), ("AAAA", None), ("SRV", None)])
def test_the_resolver_of_the_responder_answers_queries(rdtype: str, address: str | None) -> None:
    """Every name has an IPv4 address, and names of services do not exist."""
    query = make_query("s1.bench.test.", rdtype, use_edns=0)
    response = from_wire(answer(query.to_wire()))
    assert query.is_response(response)
    assert [str(record) for records in response.answer for record in records] == ([address] if address else [])
    assert response.rcode().name == ("NXDOMAIN" if rdtype == "SRV" else "NOERROR")
