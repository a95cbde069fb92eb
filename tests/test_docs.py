"""What docs/ says is what the code says."""

import pytest

from docs.generate import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_committed_page_is_the_generated_one(name: str) -> None:
    """Run `make docs` after a change of what it tells."""
    assert (FOLDER / name).read_text() == PAGES[name]()
