"""The generated pages of docs/."""

import pytest

from docs.generate import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_the_generated_one(name: str) -> None:
    """Run `make docs` after changing the code that a page describes."""
    assert (FOLDER / name).read_text() == PAGES[name]()
