"""The references that the exporter serves offline."""

from html import escape
from urllib.parse import urljoin

import pytest

from docs import references, remedies
from exporter.judging.warnings import WarningName
from exporter.model.reasons import Reason
from tests.web.pages.parsing import Page
from tests.web.serving import client_of, get, served

RUNBOOKS = [page.stem for page in remedies.pages()]


async def html_of(path: str) -> str:
    response = await get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return response.text


@pytest.mark.parametrize(("path", "words"), [("/reasons", Reason), ("/warnings", WarningName)])
async def test_every_word_has_an_anchor_and_its_remedy(path: str, words: type[Reason] | type[WarningName]) -> None:
    """A link to it is the word itself, as the metrics write it."""
    html = await html_of(path)
    assert len(list(words)) > 10
    for word in words:
        assert html.count(f'id="{word}"') == 1, word
    text = Page(html).text
    for word in words:
        assert all(part in text for part in word.remedy.split("`")), word


@pytest.mark.parametrize("suffix", ["", ".md"])
async def test_every_runbook_is_served(suffix: str) -> None:
    """An alert may link to it with the suffix that the file in the repository has."""
    async with served() as address, client_of(address) as client:
        pages = {name: await client.get(f"/runbooks/{name}{suffix}") for name in RUNBOOKS}
    assert len(pages) > 20
    assert {name: page.status_code for name, page in pages.items()} == dict.fromkeys(RUNBOOKS, 200)
    for name, page in pages.items():
        assert Page(page.text).title == f"{name} · Matrix federation"
        assert all(f'id="{heading}"' in page.text for heading in ("meaning", "impact", "diagnosis", "remedy")), name


async def test_the_list_leads_to_every_runbook() -> None:
    assert {link for link in Page(await html_of("/runbooks")).links if "runbooks/" in link} == {
        f"./runbooks/{name}" for name in RUNBOOKS
    }


async def test_every_link_works_below_any_path() -> None:
    """All links are relative to the page. They lead to what the exporter serves, and to no other host."""
    paths = ["/reasons", "/warnings", "/runbooks", *(f"/runbooks/{name}" for name in RUNBOOKS)]
    async with served() as address, client_of(address) as client:
        pages = {path: Page((await client.get(path)).text) for path in paths}
        links = {urljoin(path, link) for path, page in pages.items() for link in page.links}
        answers = {link: (await client.get(link)).status_code for link in links}
    assert not [link for page in pages.values() for link in page.links if link.startswith("/") or "://" in link]
    assert {link: status for link, status in answers.items() if status != 200} == {}


async def test_a_runbook_that_does_not_exist_leads_to_the_others() -> None:
    """What was asked for is text on the page."""
    response = await get('/runbooks/<script>alert("1")')
    assert response.status_code == 404
    assert "<script" not in response.text
    assert all(
        words in Page(response.text).text for words in ('There is no runbook for <script>alert("1").', *RUNBOOKS)
    )


# ---------------------------------------------------------------- from Markdown


def test_a_table_becomes_a_section_for_each_row() -> None:
    """The anchor is the word in its first column."""
    markdown = "# A\n\n| reason | stages | remedy |\n|---|---|---|\n| `a_b` | `x` | First.<br>Then <b>. |\n"
    assert references.render(markdown) == (
        '<h1 id="a">A</h1>\n<section class="entry" id="a_b">\n<h2><a href="#a_b"><code>a_b</code></a></h2>\n'
        "<dl>\n<dt>stages</dt>\n<dd><code>x</code></dd>\n<dt>remedy</dt>\n<dd>First.<br>Then &lt;b&gt;.</dd>\n"
        "</dl>\n</section>\n"
    )


def test_text_is_escaped_and_comments_are_dropped() -> None:
    """Nothing in a runbook becomes HTML by itself."""
    code = '{{ $labels.x }} <script>alert("1")</script>'
    assert references.render(f"<!-- remedies: all -->\n\n```sh\n{code}\n```\n\n<!-- end -->\n") == (
        f'<pre><code class="language-sh">{escape(code)}\n</code></pre>\n'
    )


@pytest.mark.parametrize(
    ("target", "link"),
    [
        ("../reasons.md", "../reasons"),
        ("../reasons.md#timeout", "../reasons#timeout"),
        ("MatrixFederationServerDown.md", "MatrixFederationServerDown"),
        ("https://example.test/a.md", "https://example.test/a.md"),
    ],
)
def test_links_lead_to_what_the_exporter_serves(target: str, link: str) -> None:
    assert references.render(f"[a]({target})") == f'<p><a href="{link}">a</a></p>\n'


def test_of_links_to_other_documents_the_text_remains() -> None:
    assert references.render("[a](outbound.md) [b](#b)") == '<p>a <a href="#b">b</a></p>\n'
