"""Rules that concern several values, or the files that the values name.

The rules read the document as it is written, so that their complaints can be reported together with those about single
values. They ignore values of the wrong type, which are reported elsewhere.
"""

import ssl
from collections.abc import Iterable, Iterator
from itertools import chain, starmap
from pathlib import Path as FilePath
from typing import NamedTuple, TypeAlias

from exporter.config import addresses, files
from exporter.config.complaint import Complaint, KeyPath, format_path
from exporter.config.document import Document, describe
from exporter.config.settings import ProbeSettings
from exporter.model import durations, names
from exporter.model.enums import IPFamily
from exporter.model.sanitize import printable

_MAX_PATH = 255  # characters shown
_LISTS = ("server_urls", "synapse_destinations")
"""The keys of the server lists that are fetched over HTTP."""

Violations: TypeAlias = Iterator[tuple[KeyPath, str]]
"""The place and the sentence of each complaint."""


def check_rules(document: Document, folder: FilePath) -> Iterator[Complaint]:
    """Yield all complaints. Relative paths in the document are relative to `folder`."""
    root = as_mapping(document.root)
    for rule in (
        _require_servers(document.root),
        _require_listen_address(root),
        _reject_duplicate_servers(root, document),
        _reject_duplicate_groups(root, document),
        _require_timeout_below_intervals(root),
        _check_cadence(root),
        _reject_duplicate_destinations(root),
        _reject_duplicate_lists(root, document),
        _check_ca_files(root, folder),
        _check_secret_files(root, folder),
        _check_signing_key(root, folder),
        _check_outbound_certificate(root, folder),
        _reject_shared_listener(root),
        _reject_shared_host(root),
    ):
        yield from (document.complaint(path, sentence) for path, sentence in rule)


def as_mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def sections(root: dict[str, object]) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Yield everything that has servers and lists, with its path: the configuration itself, and then every group."""
    yield (), root
    groups = root.get("groups")
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        yield ("groups", index), as_mapping(group)


def _servers(path: KeyPath, section: dict[str, object]) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Yield the path of every server of a section, and the server as a mapping."""
    servers = section.get("servers")
    for index, server in enumerate(servers if isinstance(servers, list) else []):
        yield (*path, "servers", index), as_mapping({"server_name": server} if isinstance(server, str) else server)


def _require_servers(root: object) -> Violations:
    """Every group has servers, and so has a configuration without groups."""
    if not isinstance(root, dict):
        return
    for path, section in sections(root):
        if not any(section.get(key) for key in ("servers", "server_files", *_LISTS, *(() if path else ("groups",)))):
            lists = "`server_files`, `server_urls` or `synapse_destinations`"
            yield (*path, "servers"), f"expected at least one server, found none: add one, or use {lists}"


def _require_listen_address(root: dict[str, object]) -> Violations:
    if as_mapping(root.get("web")).get("listen") == []:
        yield ("web", "listen"), "expected at least one address, found none: add one, or remove the key"


def _reject_duplicate_servers(root: dict[str, object], document: Document) -> Violations:
    first: dict[str, KeyPath] = {}
    for path, server in chain.from_iterable(starmap(_servers, sections(root))):
        name = server.get("server_name")
        if isinstance(name, str) and (there := first.setdefault(name, path)) != path:
            where = _place(document, there)
            yield path, f"the server {describe(name)} is already listed at {where}: remove one of them"


def _place(document: Document, path: KeyPath) -> str:
    return f"{format_path(path)}, line {document.line(path)}"


def _reject_duplicate_groups(root: dict[str, object], document: Document) -> Violations:
    first: dict[str, KeyPath] = {}
    for path, group in sections(root):
        name = group.get("name")
        if path and isinstance(name, str) and (there := first.setdefault(name, path)) != path:
            sentence = f"the group {describe(name)} is already at {_place(document, there)}: choose another name"
            yield (*path, "name"), sentence


# ---------------------------------------------------------------- durations


class _Setting(NamedTuple):
    """A duration in seconds, or None if it is not valid; and the path at which it is written, if it is."""

    key: str
    seconds: float | None
    path: KeyPath = ()

    def overridden(self, path: KeyPath, section: dict[str, object]) -> "_Setting":
        """Return the setting of a section, which is this one if the section has none."""
        return _Setting(self.key, _seconds(section[self.key]), (*path, self.key)) if self.key in section else self

    @property
    def place(self) -> str:
        return format_path(self.path) or f"probe.{self.key}"


def _timings(root: dict[str, object]) -> Iterator[tuple[_Setting, _Setting]]:
    """Yield the interval and the timeout of all probes, of those of every group, and of those of every server."""
    probe, defaults = as_mapping(root.get("probe")), ProbeSettings()
    interval = _Setting("interval", defaults.interval).overridden(("probe",), probe)
    timeout = _Setting("timeout", defaults.timeout).overridden(("probe",), probe)
    yield interval, timeout
    for path, section in sections(root):
        own = (interval.overridden(path, section), timeout.overridden(path, section)) if path else (interval, timeout)
        yield own
        yield from ((own[0].overridden(*server), own[1]) for server in _servers(path, section))


def _require_timeout_below_intervals(root: dict[str, object]) -> Violations:
    for interval, timeout in dict.fromkeys(_timings(root)):
        if interval.seconds and timeout.seconds and timeout.seconds >= interval.seconds:
            found = (
                f"a timeout of {durations.text(timeout.seconds)} and an interval of {durations.text(interval.seconds)}"
            )
            sentence = f"expected a timeout below the interval, found {found}"
            blamed = max(interval.path, timeout.path, key=len)
            yield blamed, f"{sentence}: decrease {timeout.place} or increase the interval"


def _check_cadence(root: dict[str, object]) -> Violations:
    """A confirmation comes sooner than the next probe would, and a probe of a dormant server later."""
    probe = as_mapping(root.get("probe"))
    confirm_after = _seconds(probe.get("confirm_after"))
    dormant_interval = _seconds(as_mapping(probe.get("dormant")).get("interval"))
    intervals = {interval: interval.seconds for interval, _ in _timings(root) if interval.seconds}
    if not intervals:
        return
    shortest, longest = min(intervals, key=intervals.__getitem__), max(intervals, key=intervals.__getitem__)
    if confirm_after and confirm_after > intervals[shortest]:
        found = f"{durations.text(confirm_after)} and an interval of {durations.text(intervals[shortest])}"
        yield ("probe", "confirm_after"), f"expected at most {shortest.place}, found {found}: decrease it"
    if dormant_interval and dormant_interval < intervals[longest]:
        found = f"{durations.text(dormant_interval)} and an interval of {durations.text(intervals[longest])}"
        yield ("probe", "dormant", "interval"), f"expected at least {longest.place}, found {found}: increase it"


def _seconds(written: object) -> float | None:
    """Return None if the value is not a duration."""
    try:
        return durations.parse(written) if isinstance(written, str) else None
    except durations.InvalidDurationError:
        return None


# ---------------------------------------------------------------- networks


def _networks(root: dict[str, object]) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Yield the path of every network, and the network as a mapping."""
    for path, section in sections(root):
        yield (*path, "network"), as_mapping(section.get("network"))


def _reject_duplicate_destinations(root: dict[str, object]) -> Violations:
    for path, network in _networks(root):
        first: dict[str, str] = {}
        for key in as_mapping(network.get("connect_to")):
            if first.setdefault(_canonical(key), key) != key:
                same = describe(first[_canonical(key)])
                yield (*path, "connect_to", key), f"this is the same destination as {same}: remove one of them"


def _canonical(key: str) -> str:
    try:
        return addresses.canonical_destination(key)
    except ValueError:
        return key


def _lists(root: dict[str, object]) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    """Yield the path of every list, and the list as a mapping."""
    for path, section in sections(root):
        for key in _LISTS:
            lists = section.get(key)
            for index, written in enumerate(lists if isinstance(lists, list) else []):
                yield (*path, key, index), {"url": written} if isinstance(written, str) else as_mapping(written)


def _reject_duplicate_lists(root: dict[str, object], document: Document) -> Violations:
    """Two lists with the same URL are the same list. The URL is not shown, because it may contain a secret."""
    first: dict[str, KeyPath] = {}
    for path, written in _lists(root):
        url = written.get("url")
        if isinstance(url, str) and (there := first.setdefault(url.rstrip("/"), path)) != path:
            yield path, f"this URL is already listed at {_place(document, there)}: remove one of them"


def _named_files(key: str, within: Iterable[tuple[KeyPath, dict[str, object]]]) -> Iterator[tuple[KeyPath, str]]:
    for path, section in within:
        written = section.get(key)
        if isinstance(written, str) and written and "\0" not in written:
            yield (*path, key), written


def _check_secret_files(root: dict[str, object], folder: FilePath) -> Violations:
    """The path is not shown, because some people write the secret itself there."""
    proxies = (((*path, "proxy"), as_mapping(network.get("proxy"))) for path, network in _networks(root))
    tokens, credentials = _named_files("token_file", _lists(root)), _named_files("credentials_file", proxies)
    for (path, written), read in (
        *((each, files.read_token) for each in tokens),
        *((each, files.read_credentials) for each in credentials),
    ):
        try:
            read(folder / written)
        except files.UnreadableError as error:
            yield path, f"cannot use this file: {error}"


def _check_ca_files(root: dict[str, object], folder: FilePath) -> Violations:
    for path, written in _named_files("ca_file", (*_networks(root), *_lists(root))):
        yield from ((path, sentence) for sentence in _check_certificates(folder / written))


def _check_certificates(path: FilePath) -> Iterable[str]:
    """Load the file with OpenSSL, which will use it: some certificates in wide use violate rules of other parsers."""
    try:
        files.read_bytes(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except files.UnreadableError as error:
        yield cannot_use(path, str(error))
    except ssl.SSLError:
        yield cannot_use(path, "expected PEM certificates, found none or an invalid one")


def cannot_use(path: FilePath, why: str) -> str:
    return f"cannot use {printable(str(path), _MAX_PATH)}: {why}"


# ---------------------------------------------------------------- the other direction


def _outbound_section(root: dict[str, object]) -> list[tuple[KeyPath, dict[str, object]]]:
    return [(("outbound",), as_mapping(root.get("outbound")))]


def _check_signing_key(root: dict[str, object], folder: FilePath) -> Violations:
    for path, written in _named_files("signing_key_file", _outbound_section(root)):
        try:
            files.read_signing_key(folder / written)
        except files.UnreadableError as error:
            yield path, cannot_use(folder / written, str(error))


def _check_outbound_certificate(root: dict[str, object], folder: FilePath) -> Violations:
    """Load both files with OpenSSL, which will use them."""
    tls = as_mapping(as_mapping(root.get("outbound")).get("tls"))
    cert_file, key_file = tls.get("cert_file"), tls.get("key_file")
    if not isinstance(cert_file, str) or not isinstance(key_file, str) or "\0" in cert_file + key_file:
        return
    for key, written in (("cert_file", cert_file), ("key_file", key_file)):
        try:
            files.read_bytes(folder / written)
        except files.UnreadableError as error:
            yield ("outbound", "tls", key), cannot_use(folder / written, str(error))
            return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / cert_file, folder / key_file, password="")
    except ssl.SSLError as error:
        expected = "expected a PEM certificate and its private key without a passphrase"
        yield ("outbound", "tls"), f"{expected}, OpenSSL refuses them: {error.reason or 'no PEM'}"


def _reject_shared_listener(root: dict[str, object]) -> Violations:
    """The pages and /metrics are not for the Internet, and other servers must get nothing of them."""
    outbound = as_mapping(root.get("outbound")).get("listen")
    web = as_mapping(root.get("web")).get("listen")
    for index, address in enumerate(outbound if isinstance(outbound, list) else []):
        if isinstance(web, list) and address in web:
            yield ("outbound", "listen", index), "web.listen has the same address: choose another port"


def _reject_shared_host(root: dict[str, object]) -> Violations:
    """The Host header of a request says which of its names the exporter has to answer for."""
    outbound = as_mapping(root.get("outbound"))
    by_family = as_mapping(outbound.get("by_family"))
    written: dict[KeyPath, object] = {("server_name",): outbound.get("server_name")}
    written |= {("by_family", str(family)): by_family.get(family) for family in IPFamily}
    seen: dict[str, KeyPath] = {}
    for key, text in written.items():
        first = seen.setdefault(host, key) if (host := _host(text)) else key
        if first != key:
            yield ("outbound", *key), f"outbound.{format_path(first)} has the same host: choose another one"


def _host(written: object) -> str | None:
    """Return the host of a server name, or None if it is none."""
    try:
        return names.parse(written).host.lower() if isinstance(written, str) else None
    except names.InvalidServerNameError:
        return None
