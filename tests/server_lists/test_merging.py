"""Which servers are watched, and in which group."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import config
from exporter.config import Config, Group, ServerUrl, SynapseDestinations
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.servers import DEFAULT_CADENCE, NOTHING_EXPECTED, Expectations, Labels, WatchedServer
from exporter.server_lists.merging import Overlap, Selection, select_servers
from exporter.server_lists.source import Listing

URL = "https://example.org/list"
SYNAPSE = "https://matrix.example.org"
PEER: Labels = (("role", "peer"),)


def server(name: str, interval: float = 300.0, labels: Labels = (), group: str = "default") -> WatchedServer:
    return WatchedServer(names.parse(name), interval, NOTHING_EXPECTED, DEFAULT_CADENCE, labels, group)


def listing(**servers: Labels) -> Listing:
    """Return a list of servers of the domain `example`."""
    return Listing({names.parse(f"{name}.example"): labels for name, labels in servers.items()})


def selected(groups: Sequence[Group], **lists: Listing) -> Selection:
    """Return the servers of groups. `lists` are the contents of files, and those of `url` and `synapse`."""
    fetched: Mapping[str, Listing] = {URL: lists.get("url", Listing()), SYNAPSE: lists.get("synapse", Listing())}
    return select_servers(
        Config(tuple(groups)), lambda patterns: [lists[each] for each in patterns], fetched.__getitem__
    )


def test_the_configuration_overrides_the_lists() -> None:
    """A server in both has the settings of the configuration."""
    configured = WatchedServer(names.parse("b.example"), 60.0, Expectations(Target("matrix.example.org", 443)))
    group = Group(servers=(configured,), server_files=("file",), interval=120.0)
    found = selected([group], file=listing(c=(), b=(), a=()))
    assert found == Selection((configured, server("a.example", 120.0), server("c.example", 120.0)), ())


def test_a_server_has_the_labels_of_the_first_list() -> None:
    """Files come first, as they are one's own; a server that a Synapse merely federates with is last."""
    synapse = SynapseDestinations(SYNAPSE, Path("token"))
    group = Group(server_files=("one", "two"), server_urls=(ServerUrl(URL),), synapse_destinations=(synapse,))
    found = selected(
        [group],
        one=listing(a=(("from", "one"),)),
        two=listing(a=(("from", "two"),), b=(("from", "two"),)),
        url=listing(b=(), c=(("from", "url"),)),
        synapse=listing(a=PEER, b=PEER, c=PEER, d=PEER),
    )
    assert [(each.server_name.text[0], dict(each.labels)) for each in found.servers] == [
        ("a", {"from": "one"}),
        ("b", {"from": "two"}),
        ("c", {"from": "url"}),
        ("d", {"role": "peer"}),
    ]


def test_the_labels_of_a_group_win() -> None:
    """They are the operator's word, and a list may be somebody else's. An empty one removes a label."""
    group = Group("ours", {"team": "chat", "role": ""}, server_files=("file",))
    found = selected([Group(), group], file=listing(a=(("env", "prod"), ("role", "peer"), ("team", "evil")), b=PEER))
    assert found.servers == (
        server("a.example", labels=(("env", "prod"), ("team", "chat")), group="ours"),
        server("b.example", labels=(("team", "chat"),), group="ours"),
    )


def test_a_server_is_in_one_group() -> None:
    """It is the one that names it in the configuration, or else the first one with a list that does."""
    first = Group("first", server_files=("file",), interval=60.0)
    second = Group(
        "second", servers=(server("named.example", group="second"),), server_files=("file", "more"), interval=90.0
    )
    found = selected([Group(), first, second], file=listing(named=(), a=(), b=()), more=listing(c=(), a=()))
    assert found.servers == (
        server("named.example", group="second"),
        server("a.example", 60.0, group="first"),
        server("b.example", 60.0, group="first"),
        server("c.example", 90.0, group="second"),
    )
    assert set(found.overlaps) == {Overlap(1, "first", "second"), Overlap(3, "second", "first")}


@pytest.mark.parametrize(
    ("overlap", "sentence"),
    [
        (Overlap(1, "a", "b"), "1 server of the group a is already in the group b, and stays there"),
        (Overlap(2, "a", "b"), "2 servers of the group a are already in the group b, and stay there"),
    ],
)
def test_an_overlap_is_a_sentence(overlap: Overlap, sentence: str) -> None:
    assert str(overlap) == sentence


def test_a_configuration_without_groups_means_what_it_did(tmp_path: Path) -> None:
    """Its servers have no labels, but for those of a Synapse, and the interval of all."""
    (tmp_path / "token").write_text("secret")
    file = tmp_path / "config.yaml"
    file.write_text("""
servers: [a.example, {server_name: b.example, interval: 1m, expect: {delegation: hs.b.example:443}}]
server_files: [more.yaml]
server_urls: ["https://example.org/list"]
synapse_destinations: [{url: "https://matrix.example.org", token_file: token}]
probe: {interval: 10m}
""")
    read = config.load(file)
    assert [group.name for group in read.groups] == ["default"]
    fetched = {URL: listing(d=()), SYNAPSE: listing(d=PEER, e=PEER)}
    found = select_servers(read, lambda _: [listing(c=(), a=())], fetched.__getitem__)
    a, b, *others = found.servers
    assert (a, b) == (
        server("a.example", 600.0),
        replace(server("b.example", 60.0), expected=Expectations(Target("hs.b.example", 443))),
    )
    assert others == [server("c.example", 600.0), server("d.example", 600.0), server("e.example", 600.0, PEER)]
    assert found.overlaps == ()
