"""The grammar of server names."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import names
from exporter.model.names import InvalidServerNameError, ServerName
from tests.properties import PATIENT


@pytest.mark.parametrize(
    ("text", "host", "port", "ip"),
    [
        ("example.test", "example.test", None, None),
        ("example.test:8448", "example.test", 8448, None),
        ("EXAMPLE.test", "EXAMPLE.test", None, None),
        ("localhost:0", "localhost", 0, None),
        ("192.0.2.1", "192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1", 443, "192.0.2.1"),
        ("[2001:DB8::1]:1", "2001:DB8::1", 1, "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "::ffff:192.0.2.1", None, "::ffff:192.0.2.1"),
        ("256.1.1.1", "256.1.1.1", None, None),
        ("01.2.3.4", "01.2.3.4", None, None),
        ("example.test:00443", "example.test", 443, None),
        ("example.test:65535", "example.test", 65535, None),
    ],
)
def test_parses_host_port_and_address(text: str, host: str, port: int | None, ip: str | None) -> None:
    """The text is kept as it is, because server names are compared exactly."""
    assert names.parse(text) == ServerName(text, host, port, ip_address(ip) if ip else None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the host is empty"),
        (":8448", "the host is empty"),
        ("https://example.test", "this is a URL: drop the scheme and the path"),
        ("example.test/path", "a server name has no path: drop it"),
        ("@alice:example.test", "this is a user ID: write only what follows the colon"),
        ("bücher.test", "only ASCII is allowed: write an internationalised name in its xn-- form"),
        (
            "example.test:8\N{FULLWIDTH DIGIT FOUR}48",
            "only ASCII is allowed: write an internationalised name in its xn-- form",
        ),
        ("2001:db8::1", "an IPv6 address needs brackets, as in [2001:db8::1]:8448"),
        ("[2001:db8::g]", "[2001:db8::g] is not an IPv6 address"),
        ("[fe80::1%eth0]", "an IPv6 address in a server name must not have a zone"),
        ("[192.0.2.1]", "[192.0.2.1] is not an IPv6 address"),
        ("example.test:", "the port is empty"),
        ("example.test:+443", "the port '+443' is not a number"),
        ("example.test:https", "the port 'https' is not a number"),
        ("example.test:65536", "port 65536 is above 65535"),
        ("example.test:100000", "port 100000 is above 65535"),
        ("example.test.", "the host ends in a dot: remove the extra dot"),
        ("example.test.:8448", "the host ends in a dot: remove the extra dot"),
        (".example.test", "a label of the name is empty: remove the extra dot"),
        ("example..test", "a label of the name is empty: remove the extra dot"),
        ("under_score.test", "only letters, digits, '-' and '.' are allowed in a name"),
        ("exa mple.test", "a server name has no blanks: remove them"),
        ("example.test\n", "only letters, digits, '-' and '.' are allowed in a name"),
        ("a" * 256, "the host has 256 characters, at most 255 are allowed"),
    ],
)
def test_rejects_other_texts(text: str, complaint: str) -> None:
    """The message says what is wrong with the text."""
    with pytest.raises(InvalidServerNameError) as caught:
        names.parse(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("text", ["[\x1b]", "[" + "f" * 50_000 + "]", "a.test:" + "9" * 50_000])
def test_complaints_are_printable_and_short(text: str) -> None:
    """A well-known may contain anything, and the complaint about it reaches logs and terminals."""
    with pytest.raises(InvalidServerNameError) as caught:
        names.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120


@PATIENT
@given(st.text(alphabet="a1.:[]%-_é \n@/", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_name_or_rejected(text: str) -> None:
    """Any text is either a name whose parts make up the text again, or raises InvalidServerNameError."""
    try:
        name = names.parse(text)
    except InvalidServerNameError:
        return
    host = f"[{name.host}]" if ":" in name.host else name.host
    rest = text.removeprefix(host)
    assert rest == "" if name.port is None else int(rest.removeprefix(":")) == name.port


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("example.test", None),
        ("256.1.1.1", None),
        ("2130706433", None),
        ("127.1", None),
        ("0177.0.0.1", None),
        ("0x7f.0.0.1", None),
        ("127.0.0.01", None),
        ("fe80::1%lo", None),
        ("::1%1", None),
        ("a:b", None),
        ("a:b.example.test", None),
    ],
)
def test_recognises_ip_literals(host: str, address: str | None) -> None:
    """A name in DNS may contain anything, including colons."""
    assert names.ip_literal(host) == (ip_address(address) if address else None)
