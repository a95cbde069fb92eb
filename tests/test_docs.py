"""The generated pages of docs/."""

import asyncio
from pathlib import Path

import pytest

from docs.comparison import COMPARISONS, PAGE, Comparison, page, stable
from docs.generate import FOLDER, PAGES
from exporter import check
from tests.lab.catalogue import WITH_BOTH_WAYS
from tests.web.lab_site import lab_site


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_the_generated_one(name: str) -> None:
    """Run `make docs` after changing the code that a page describes."""
    assert (FOLDER / name).read_text() == PAGES[name]()


# ---------------------------------------------------------------- check and the public federation tester


@pytest.mark.lab
async def test_the_page_that_compares_is_what_the_federations_show_today() -> None:
    """Run `make docs` after changing the output of `check` or the format of the tester."""
    assert stable(PAGE.read_text()) == stable(await page())


@pytest.mark.lab
@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.server_name)
async def test_the_page_that_compares_contains_what_the_programs_print(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command `check` prints this text, and the exporter serves this document."""
    name = comparison.server_name
    servers = [server for server in WITH_BOTH_WAYS if server.server_name == name]
    async with lab_site(tmp_path, *servers) as site:
        served = await site.get_probed("/api/report", server_name=name, fresh="true")
        capsys.readouterr()
        await asyncio.to_thread(check.run, [name], site.config_file, as_json=False)
        printed = capsys.readouterr().out
    committed = stable(PAGE.read_text())
    assert stable(f"check {name}\n{printed}```") in committed
    assert stable(f"{served.text}```") in committed
