"""The documentation as a web site: what `make site` builds, in a real browser."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.browser import SCREENS, Screen, chromium, opened, overflow, recorded
from tests.programs import program

ROOT: Final = Path(__file__).parents[1]
MKDOCS: Final = str(ROOT / ".venv-site" / "bin" / "mkdocs")
PAGES_OUTSIDE: Final = sorted(
    page.relative_to(ROOT)
    for page in (*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md"), *(ROOT / "grafana").glob("*.md"))
)
PAGES: Final = sorted(page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md"))

pytestmark = pytest.mark.subprocess


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program(MKDOCS)
    folder = tmp_path_factory.mktemp("site")
    make = ["make", "--silent", "site", f"SITE={folder}"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    ended = subprocess.run(make, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def site(built: Path) -> Iterator[str]:
    """Serve the site, and yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=built)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_every_page_is_on_the_site(built: Path) -> None:
    """Links between them were checked while they were built."""
    folders = [page.parent if page.name == "README.md" else page.with_suffix("") for page in PAGES]
    assert len(folders) > 50
    assert [folder for folder in folders if not (built / folder / "index.html").is_file()] == []


@pytest.mark.parametrize("page", PAGES_OUTSIDE, ids=str)
def test_links_of_pages_outside_the_site_lead_somewhere(page: Path) -> None:
    """As GitHub follows them: to files of the repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page.parent / link).exists()] == []


def test_programs_are_not_published(built: Path) -> None:
    assert list(built.rglob("*.py")) == []


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("nowhere.md", "a link 'nowhere.md', but the target is not found"),
        ("metrics.md#nowhere", "a link 'metrics.md#nowhere', but the doc 'metrics.md' does not contain an anchor"),
        ("../nowhere.md", "a link to ../nowhere.md, which does not exist"),
    ],
)
def test_broken_link_is_an_error(link: str, complaint: str, tmp_path: Path) -> None:
    """To another page, to a section, and to a file outside docs/."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__", "screenshots"))
    (tmp_path / "docs" / "faq.md").write_text(f"# Questions\n\n[A link]({link}).\n")
    config = tmp_path / "docs" / "site" / "mkdocs.yml"
    build = [program(MKDOCS), "build", "--strict", "--config-file", str(config), "--site-dir", str(tmp_path / "site")]
    ended = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert complaint in " ".join(ended.stderr.split())


@pytest.mark.system("chromium")
@pytest.mark.parametrize("screen", [SCREENS[0], SCREENS[-1]], ids=str)
async def test_site_loads_nothing_from_other_hosts(site: str, screen: Screen) -> None:
    """Fonts, scripts, the search index and pictures: they are all its own, and all of them are there."""
    async with chromium() as browser, opened(browser, screen, for_axe=True) as page:
        with recorded(page) as seen:
            for path in ("", "concepts/", "reasons/", "tutorials/own-server/"):
                await page.goto(site + path, wait_until="networkidle")
                assert await overflow(page) == 0
            await page.goto(f"{site}?q=certificate_expired", wait_until="networkidle")
            await page.locator(".md-search-result__link").first.wait_for(state="attached")
    assert len(seen) > 20
    assert [request for request in seen if not request.startswith((site, "blob:", "data:"))] == []
