"""Before a server is blamed, the exporter reaches its own listener as others do: over real sockets and real DNS."""

from pathlib import Path

import pytest

from exporter.config import files
from exporter.demo.authority import EXPIRED
from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.zone import SERVFAIL
from exporter.outbound.signing import generate_seed
from tests.outbound.both_ways import OWN_NAME, BothWays, both_ways, write_private

SERVERS = BOTH_WAYS_SERVERS[:1]


async def obstacle(running: BothWays) -> str:
    assert not await running.check()
    return running.looks.not_ready_because or ""


async def test_a_listener_that_others_reach_is_ready(tmp_path: Path) -> None:
    async with both_ways(SERVERS, tmp_path) as running:
        assert await running.check()
        assert running.looks.not_ready_because is None
        assert running.checked == [(OWN_NAME, False), (OWN_NAME, True)]
    assert running.service.looks is None


async def test_a_name_that_does_not_resolve_is_not_ready(tmp_path: Path) -> None:
    """The reason is that of a probe."""
    async with both_ways(SERVERS, tmp_path) as running:
        running.federation.dns.zone.fail(OWN_NAME, "A", SERVFAIL)
        assert "dns_failure" in await obstacle(running)


async def test_an_expired_certificate_is_named_and_its_renewal_is_seen(tmp_path: Path) -> None:
    """The listener reads the files again when they change."""
    async with both_ways(SERVERS, tmp_path) as running:
        good = (tmp_path / "cert.pem").read_bytes()
        (tmp_path / "cert.pem").write_bytes(running.federation.authority.issue([OWN_NAME], EXPIRED).pem)
        assert "certificate_expired" in await obstacle(running)
        (tmp_path / "cert.pem").write_bytes(b"not a certificate")
        assert "certificate_expired" in await obstacle(running)
        (tmp_path / "cert.pem").write_bytes(good)
        assert await running.check()


async def test_another_server_under_the_same_name_is_not_taken_for_the_exporter(tmp_path: Path) -> None:
    """Such as another exporter with a key of its own."""
    async with both_ways(SERVERS, tmp_path) as running:
        (other := tmp_path / "other").mkdir()
        async with both_ways(SERVERS, other) as there:
            running.prober, own = there.prober, running.prober
            assert "publishes other keys than the exporter's" in await obstacle(running)
            running.prober = own
            assert await running.check()


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o700 | 0o010])
def test_a_signing_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says what to do, and nothing about the key."""
    file, seed = tmp_path / "signing.key", generate_seed()
    write_private(file, str(seed))
    assert files.read_signing_key(file) == seed
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
