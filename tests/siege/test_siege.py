"""A short siege, and what the verdicts of one depend on. `make siege` is a long one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.model import names
from exporter.model.servers import WatchedServer
from exporter.scheduling.grid import Grid
from tests.siege.observing import LAST, PROBES, SUCCESS, UNANSWERED_SECONDS, Observed, Scrape, read_scrape
from tests.siege.run import SHORT, besiege
from tests.siege.verdicts import Expected, account, rows

INTERVAL = 10.0
NAME = "healthy.test"
EXPECTED = Expected(INTERVAL, healthy=(NAME,), unasked=(NAME,))
MEBIBYTE = 2**20
ALL_COME = {NAME: True}


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_siege(tmp_path: Path) -> None:
    """All attacks at once, with workers; `make siege` has one process alone too."""
    assert [row for row in await besiege(tmp_path, 2, SHORT) if not row.holds] == []


# ---------------------------------------------------------------- the verdicts themselves


def scrapes(
    *,
    skipped: int = 0,
    success: float = 1,
    late: float = 0.0,
    lost: int = 0,
    ready: bool = True,
    comes: Mapping[str, bool] = ALL_COME,
) -> Iterator[Scrape]:
    """A minute, in which a probe is made whenever one is due, `lost` of them not, and each is scraped `late`."""
    grid = Grid.of(WatchedServer(names.parse(NAME), INTERVAL))
    start = grid.at_or_after(1000.0)
    for second in range(61):
        done = max(0, second // int(INTERVAL) - lost)
        probed = start + second - second % INTERVAL - late
        by_server = {LAST: {NAME: probed}, SUCCESS: {NAME: success}, PROBES: {NAME: float(done)}}
        yield Scrape(start + second, by_server, skipped if second else 0, ready, comes)


def observed(**changes: object) -> Observed:
    """Nothing that breaks a bound, unless it is changed."""
    return replace(
        Observed(
            health_seconds=[0.1] * 100,
            scrapes=list(scrapes()),
            resident_bytes=[80 * MEBIBYTE],
            noticed_seconds=[INTERVAL],
            recovered_seconds=[INTERVAL],
            seconds=60.0,
            cpu_seconds=6.0,
        ),
        **changes,  # type: ignore[arg-type] # as the fields are
    )


CALM = observed()


def broken(siege: Observed, slowness: float = 1.0) -> list[str]:
    return [row.what for row in rows(CALM, siege, EXPECTED, slowness) if not row.holds]


def test_a_siege_that_changes_nothing_breaks_nothing() -> None:
    assert broken(CALM) == []


@pytest.mark.parametrize(
    ("siege", "expected"),
    [
        (observed(health_seconds=[0.1] * 97 + [1.1] * 3), "/-/healthy, p99"),
        (observed(health_seconds=[0.1] * 97 + [UNANSWERED_SECONDS] * 3), "/-/healthy, p99"),
        (observed(resident_bytes=[80 * MEBIBYTE, 181 * MEBIBYTE, 80 * MEBIBYTE]), "resident memory"),
        (observed(scrape_failures=["ReadTimeout()"]), "scrapes that failed"),
        (observed(scrapes=list(scrapes(late=12))), "oldest result of a healthy server"),
        (observed(scrapes=list(scrapes(success=0))), "healthy servers called down"),
        (observed(scrapes=list(scrapes(ready=False))), "own listener not reached"),
        (observed(scrapes=list(scrapes(comes={NAME: False}))), "healthy servers said not to come, or not known"),
        (observed(scrapes=list(scrapes(comes={}))), "healthy servers said not to come, or not known"),
        (observed(noticed_seconds=[5.0, 31.0]), "silent servers called down"),
        (observed(noticed_seconds=[]), "silent servers called down"),
        (observed(recovered_seconds=[5.0, 31.0]), "silent servers called healthy again"),
        (observed(scrapes=list(scrapes(lost=2))), "probes lost"),
        (observed(patient={"wrong": 1, "right": 5}), "patient clients"),
    ],
)
def test_each_bound_can_be_broken(siege: Observed, expected: str) -> None:
    """And no other one is, then."""
    assert broken(siege) == [expected]


def test_a_healthy_server_that_is_gone_is_not_fresh() -> None:
    """As after a restart, or of a server that was dropped from the list."""
    gone = [replace(each, by_server={**each.by_server, LAST: {}, SUCCESS: {}}) for each in CALM.scrapes]
    assert broken(observed(scrapes=gone)) == ["oldest result of a healthy server"]


def test_a_probe_that_was_skipped_is_not_lost_if_it_is_told() -> None:
    found = [account(observed(scrapes=list(scrapes(lost=2, skipped=told))), [NAME], INTERVAL).lost for told in (0, 1)]
    assert found == [1, 0]


def test_a_busy_machine_has_more_time() -> None:
    """For what takes time. Memory, and what is said about servers, are bounded as ever."""
    slow = observed(health_seconds=[1.5] * 100, noticed_seconds=[45.0], scrapes=list(scrapes(late=15)))
    assert len(broken(slow)) == 3
    assert broken(slow, slowness=2.0) == []
    assert broken(replace(slow, resident_bytes=[400 * MEBIBYTE]), slowness=9.0) == ["resident memory"]


def test_a_scrape_is_read() -> None:
    text = (
        'matrix_federation_probe_success{server_name="a.test"} 1\n'
        'matrix_federation_probe_last_timestamp_seconds{server_name="a.test"} 1.5e3\n'
        'matrix_federation_probes_total{server_name="a.test"} 7\n'
        'matrix_federation_stage_success{probe_stage="outbound",server_name="a.test"} 0.0\n'
        'matrix_federation_stage_success{probe_stage="tls",server_name="a.test"} 1.0\n'
        'matrix_federation_exporter_outbound_ready{own_name="exporter.test"} 0.0\n'
        'matrix_federation_exporter_probes_skipped_total{reason="overlap"} 2.0\n'
        'matrix_federation_exporter_probes_skipped_total{reason="missed"} 3.0\n'
    )
    by_server = {LAST: {"a.test": 1500.0}, SUCCESS: {"a.test": 1.0}, PROBES: {"a.test": 7.0}}
    assert read_scrape(text, 2000.0) == Scrape(2000.0, by_server, 5, ready=False, outbound={"a.test": False})
