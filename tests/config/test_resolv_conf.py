"""The DNS servers of the operating system."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config import HostPort
from exporter.config.resolv_conf import SystemResolvers

LOCAL = (HostPort("127.0.0.1", 53),)


def servers_in(file: Path, content: str) -> tuple[HostPort, ...]:
    file.write_text(content)
    return SystemResolvers(file)()


def test_servers_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Duplicates count once. An IPv6 address may have a zone, and other lines mean nothing."""
    content = """# a comment
search corp.test
nameserver 192.0.2.53
options ndots:5 use-vc
nameserver\t2001:db8::53 # the second one
nameserver fe80::1%eth0
nameserver 192.0.2.53
"""
    expected = [("192.0.2.53", 53), ("2001:db8::53", 53), ("fe80::1%eth0", 53)]
    assert list(servers_in(tmp_path / "resolv.conf", content)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "nameserver localhost",
        "nameserver 192.0.2.1,",
        "nameserver",
        "nameserver ",
        " nameserver 192.0.2.1",
        "; nameserver 192.0.2.1",
        "nameservers 192.0.2.1",
        "search a..b",
        f"search {'a' * 300}",
        "domain ..",
        "options timeout:x ndots:",
        "nameserver \x00\x1b[31m",
        "\udcff",
    ],
)
def test_a_line_that_is_not_valid_is_ignored(line: str, tmp_path: Path) -> None:
    """So is it by the C library."""
    file = tmp_path / "resolv.conf"
    file.write_bytes(f"{line}\nnameserver 192.0.2.53\n".encode(errors="surrogateescape"))
    assert SystemResolvers(file)() == (("192.0.2.53", 53),)


@pytest.mark.parametrize(
    ("content", "tcp_only"),
    [
        ("options use-vc\n", True),
        ("options\tndots:5 use-vc timeout:1 # everywhere\n", True),
        ("options rotate\noptions use-vc\n", True),
        ("options ndots:5 timeout:1 attempts:1 rotate edns0 trust-ad\n", False),
        ("search use-vc\n; options use-vc\n", False),
        ("", False),
    ],
)
def test_an_option_demands_tcp(content: str, tcp_only: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """It is read again too."""
    file = tmp_path / "resolv.conf"
    resolvers = SystemResolvers(file)
    assert not resolvers.tcp_only()
    file.write_text(content)
    assert resolvers.tcp_only() is tcp_only
    assert resolvers() == LOCAL


def test_a_server_without_an_address_is_logged(tmp_path: Path) -> None:
    """The line is shown without control characters."""
    with capture_logs() as logged:
        servers_in(tmp_path / "resolv.conf", "nameserver local\x1bhost\n")
    (warning,) = (entry for entry in logged if entry["log_level"] == "warning")
    assert warning["event"] == "line of resolv.conf ignored: expected an IP address"
    assert "\x1b" not in warning["line"]


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "nameserver localhost\n"])
def test_without_a_server_it_is_the_one_on_the_local_machine(content: str, tmp_path: Path) -> None:
    assert servers_in(tmp_path / "resolv.conf", content) == LOCAL


def test_a_change_is_noticed(tmp_path: Path) -> None:
    """There may be no file at first. While it is being replaced, the servers stay as they are."""
    file = tmp_path / "resolv.conf"
    resolvers = SystemResolvers(file)
    assert resolvers() == LOCAL
    for number in (1, 2):
        fresh = tmp_path / "fresh"
        fresh.write_text(f"nameserver 192.0.2.{number}\n")
        fresh.replace(file)
        assert resolvers() == ((f"192.0.2.{number}", 53),)
    file.unlink()
    assert resolvers() == (("192.0.2.2", 53),)


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\n")
    resolvers, status = SystemResolvers(file), file.stat()
    assert resolvers() == (("192.0.2.1", 53),)
    with file.open("r+") as same:
        same.write("nameserver 192.0.2.2\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert resolvers() == (("192.0.2.1", 53),)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """It is no file that anybody has written."""
    file = tmp_path / "resolv.conf"
    with file.open("wb") as stream:
        stream.truncate(2**31)
    assert SystemResolvers(file)() == LOCAL
