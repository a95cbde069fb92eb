"""Where the site is."""

import pytest

from exporter.web.settings.location import Location


@pytest.mark.parametrize(
    ("url", "prefix", "location"),
    [
        (None, None, Location()),
        ("https://example.org", None, Location("https://example.org/")),
        ("https://example.org/matrix/", None, Location("https://example.org/matrix/", "/matrix")),
        ("https://example.org/a/b", None, Location("https://example.org/a/b/", "/a/b")),
        ("https://example.org/matrix", "/", Location("https://example.org/matrix/")),
        (None, "matrix/", Location(prefix="/matrix")),
        (None, "", Location()),
    ],
)
def test_the_prefix_is_the_path_of_the_url_unless_it_is_given(
    url: str | None, prefix: str | None, location: Location
) -> None:
    """As in blackbox_exporter."""
    assert Location.parse(url, prefix) == location


@pytest.mark.parametrize(
    ("url", "prefix", "complaint"),
    [
        ("example.org/matrix", None, "it must start with https:// or http://"),
        ("https://example.org/?a=b", None, "remove the question mark"),
        ("https://user:secret@example.org/", None, "remove the user name and the password"),
        ("https://example.org/%6d", None, "expected a path of letters"),
        (None, "/a b", "expected a path of letters, digits and . _ ~ - such as /matrix, found '/a b'"),
        (None, "/a//b", "expected a path of letters"),
    ],
)
def test_what_cannot_be_a_location_is_refused(url: str | None, prefix: str | None, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Location.parse(url, prefix)
