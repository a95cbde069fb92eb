"""What benchmarks find is compared with the targets, kept and shown; what they stand on is right."""

import asyncio
import time
from pathlib import Path

import pytest
from dns.message import from_wire, make_query

from exporter.judging.verdict import federates
from tests.bench.app import Holds
from tests.bench.invented import everyone, reports
from tests.bench.load import errors_in
from tests.bench.readme import BEGIN, END, with_rows
from tests.bench.responder import ADDRESS, reply
from tests.bench.rows import Row, at_least, at_most, quantile, read, renewed, told, write

ROWS = [
    Row("cost: a probe", 2.5, "ms"),
    Row("load: CPU, of one core", 25, "%", "<= 40", met=True),
    Row("load: probes skipped", 3, "", "<= 0", met=False),
]


def test_a_row_is_the_median_of_its_runs_and_knows_whether_the_target_is_met() -> None:
    assert Row.of("x: y", [3.0, 1.0, 2.0], "s") == Row("x: y", 2.0, "s", None, None)
    assert Row.of("x: y", [3.0, 1.0, 2.0], "s", at_most(2)) == Row("x: y", 2.0, "s", "<= 2", met=True)
    assert Row.of("x: y", 2.1, "", at_most(2)) == Row("x: y", 2.1, "", "<= 2", met=False)
    assert Row.of("x: y", 1.69, "", at_least(1.7)) == Row("x: y", 1.69, "", ">= 1.7", met=False)
    assert Row.of("x: y", 1.7, "", at_least(1.7)) == Row("x: y", 1.7, "", ">= 1.7", met=True)


def test_rows_are_kept_as_json(tmp_path: Path) -> None:
    """An array of objects, each on a line of its own."""
    file = tmp_path / "build" / "bench.json"
    assert read(file) == []
    write(ROWS, file)
    assert read(file) == ROWS
    first = '{"name": "cost: a probe", "value": 2.5, "unit": "ms", "target": null, "met": null}'
    assert file.read_text().splitlines()[1] == f"{first},"
    assert told(first) == ROWS[0]


def test_what_was_not_measured_again_stays() -> None:
    """A benchmark's rows are replaced as a whole."""
    fresh = [Row("load: probes skipped", 0, "", "<= 0", met=True)]
    assert renewed(ROWS, fresh) == [ROWS[0], *fresh]


@pytest.mark.parametrize(
    ("row", "written"),
    [
        (Row("a", 25.34, "%"), "25.3 %"),
        (Row("a", 0.0001234, "s"), "0.000123 s"),
        (Row("a", 20_000), "20,000"),
        (Row("a", 1.196), "1.2"),
    ],
)
def test_values_are_written_for_people(row: Row, written: str) -> None:
    assert row.written == written


def test_the_readme_shows_what_has_a_target() -> None:
    """The rest of it stays, and so do the markers: it can be done again."""
    once = with_rows(f"Above\n{BEGIN}\nold\n{END}\nBelow\n", ROWS)
    assert once == (
        f"Above\n{BEGIN}\n| | measured | target | met |\n|---|---|---|---|\n"
        "| load: CPU, of one core | 25 % | <= 40 | yes |\n| load: probes skipped | 3 | <= 0 | NO |\n"
        f"{END}\nBelow\n"
    )
    assert with_rows(once, ROWS) == once


def test_the_readme_has_a_place_for_it() -> None:
    text = Path("README.md").read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)


def test_quantiles_are_values_that_were_seen() -> None:
    assert [quantile([3, 1, 2, 4], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 3, 4, 4]


def test_invented_servers_federate_and_differ() -> None:
    """Each under a name of its own, with values of its own, and the same at every call."""
    watched = everyone(50)
    assert len({server.server_name for server in watched}) == 50
    assert everyone(50) == watched
    found = list(reports(watched))
    assert all(federates(report) for report in found)
    assert len({report.seconds for report in found}) == 50


def test_errors_are_the_differences_between_what_was_measured_and_what_the_server_told() -> None:
    """Servers whose probe was spoiled show no durations, and none is taken for them."""
    duration = 'matrix_federation_stage_duration_seconds{probe_stage="%s",server_name="a.test"} %s\n'
    text = (
        duration % ("tcp", 0.001)
        + duration % ("tls", 0.004)
        + duration % ("version", 0.052)
        + 'matrix_federation_server_info{name="0.003",server_name="a.test",version="0.050"} 1.0\n'
        'matrix_federation_server_info{name="0.003",server_name="spoiled.test",version="0.050"} 1.0\n'
    ).encode()
    found = {stage: [round(error, 6) for error in errors_in(text, stage)] for stage in ("tcp", "tls", "version")}
    assert found == {"tcp": [0.001], "tls": [0.001], "version": [0.002]}


async def test_the_longest_hold_of_the_event_loop_is_found() -> None:
    """In CPU time: what only sleeps, or waits for a core, holds nothing."""
    async with Holds() as holds:
        time.sleep(0.2)  # noqa: ASYNC251 - it must block
        await asyncio.sleep(0)
        until = time.thread_time() + 0.03
        while time.thread_time() < until:
            pass
    assert 0.03 <= holds.longest < 0.2


@pytest.mark.parametrize(("kind", "answer"), [("A", ADDRESS), ("AAAA", None), ("SRV", None)])
def test_the_light_resolver_speaks_dns(kind: str, answer: str | None) -> None:
    """Every name has an address of IPv4; names of services do not exist."""
    query = make_query("s1.bench.test.", kind, use_edns=0)
    response = from_wire(reply(query.to_wire()))
    assert query.is_response(response)
    assert [str(record) for records in response.answer for record in records] == ([answer] if answer else [])
    assert response.rcode().name == ("NXDOMAIN" if kind == "SRV" else "NOERROR")
