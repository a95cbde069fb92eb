"""Before a server is blamed, the exporter reaches its own listener as others do: over real sockets and real DNS."""

import os
from pathlib import Path

import pytest

from exporter.config import files
from exporter.demo.authority import EXPIRED
from exporter.demo.both_ways.joining import BY_FAMILY, OWN_NAME
from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.zone import SERVFAIL
from exporter.model.signing_keys import SigningSeed
from exporter.outbound.signing import generate_seed
from tests.outbound.both_ways import BothWays, both_ways, write_private

SERVERS = BOTH_WAYS_SERVERS[:1]


async def obstacle(running: BothWays) -> str:
    assert not await running.check()
    return running.looks.not_ready_because or ""


async def test_a_listener_that_others_reach_is_ready(tmp_path: Path) -> None:
    async with both_ways(SERVERS, tmp_path) as running:
        assert await running.check()
        assert running.looks.not_ready_because is None
        names = (OWN_NAME, BY_FAMILY["ipv6"], BY_FAMILY["ipv4"])
        assert running.checked == [(name, ready) for ready in (False, True) for name in names]
    assert running.service.looks is None


async def test_a_name_that_does_not_resolve_is_not_ready(tmp_path: Path) -> None:
    """The reason is that of a probe."""
    async with both_ways(SERVERS, tmp_path) as running:
        for rdtype in ("A", "AAAA"):
            running.federation.dns.zone.fail(OWN_NAME, rdtype, SERVFAIL)
        assert "dns_failure" in await obstacle(running)


async def test_an_expired_certificate_is_named_and_its_renewal_is_seen(tmp_path: Path) -> None:
    """The listener reads the files again when they change."""
    async with both_ways(SERVERS, tmp_path) as running:
        good = (tmp_path / "certificate.pem").read_bytes()
        (tmp_path / "certificate.pem").write_bytes(running.federation.authority.issue([OWN_NAME], EXPIRED).pem)
        assert "certificate_expired" in await obstacle(running)
        (tmp_path / "certificate.pem").write_bytes(b"not a certificate")
        assert "certificate_expired" in await obstacle(running)
        (tmp_path / "certificate.pem").write_bytes(good)
        assert await running.check()


@pytest.mark.parametrize(("family", "record"), [("ipv4", "AAAA 2001:db8::240"), ("ipv6", "A 192.0.2.240")])
async def test_a_name_for_one_family_that_has_addresses_of_both_is_not_ready(
    family: str, record: str, tmp_path: Path
) -> None:
    """A server might come over the other family. The names that are in order stay ready."""
    async with both_ways(SERVERS, tmp_path) as running:
        running.federation.dns.zone.load(f"{BY_FAMILY[family]} {record}")
        assert not await running.check()
        obstacles = {peer.name.text: peer.obstacle for peer in running.looks.peers}
        ready = {name for name, obstacle in obstacles.items() if obstacle is None}
    assert obstacles[BY_FAMILY[family]] == (
        f"it has an address of the other IP family too, {record.split()[1]}: remove that from DNS"
    )
    assert ready == {OWN_NAME, *BY_FAMILY.values()} - {BY_FAMILY[family]}
    assert dict(running.checked) == {name: name in ready for name in obstacles}


async def test_another_server_under_the_same_name_is_not_taken_for_the_exporter(tmp_path: Path) -> None:
    """Such as another exporter with a key of its own."""
    async with both_ways(SERVERS, tmp_path) as running:
        (other := tmp_path / "other").mkdir()
        async with both_ways(SERVERS, other) as there:
            running.prober, own = there.prober, running.prober
            assert "publishes other keys than the exporter's" in await obstacle(running)
            running.prober = own
            assert await running.check()


IS_ROOT = os.geteuid() == 0
AS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="only root can have a file that belongs to root")
NOBODY = 65534


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o700 | 0o010])
def test_a_signing_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says what to do, and nothing about the key."""
    file, seed = tmp_path / "signing.key", generate_seed()
    write_private(file, str(seed))
    assert files.read_signing_key(file) == seed
    if IS_ROOT:
        os.chown(file, NOBODY, NOBODY)
    assert_refused(file, mode, seed)


@AS_ROOT
def test_a_signing_key_of_root_may_be_readable_by_its_group(tmp_path: Path) -> None:
    """So a secret of Kubernetes is mounted for a process that is not root. Nobody else may do more."""
    file, seed = tmp_path / "signing.key", generate_seed()
    write_private(file, str(seed))
    for mode in (0o440, 0o640):
        file.chmod(mode)
        assert files.read_signing_key(file) == seed
    for mode in (0o660, 0o444, 0o650):
        assert_refused(file, mode, seed)


def assert_refused(file: Path, mode: int, seed: SigningSeed) -> None:
    file.chmod(mode)
    with pytest.raises(files.UnreadableError, match=f"found mode {mode:04o}: run chmod 600 on it") as caught:
        files.read_signing_key(file)
    assert str(seed).split()[2] not in str(caught.value)


def test_what_is_not_a_signing_key_is_refused(tmp_path: Path) -> None:
    """The message names the command that creates one."""
    write_private(tmp_path / "signing.key", "secret")
    with pytest.raises(files.UnreadableError, match="generate-signing-key FILE") as caught:
        files.read_signing_key(tmp_path / "signing.key")
    assert "secret" not in str(caught.value)
