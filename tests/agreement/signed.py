"""An exporter with a name of its own looks at federations of the kit: `python -m tests.agreement.signed`.

It sees what no unsigned request shows: those that observed.yaml calls `unseen` count here, and all others of the groups
that are about what stands before a homeserver have to agree as well.
Status: 0 all agree, 1 something does not, 2 could not run.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.model.signing_keys import parse_seed
from exporter.outbound.signing import SigningKey, generate_seed
from tests.agreement import namespaces
from tests.agreement.served import KIT, engine, pki, run_agreement

GROUPS: Final = ("healthy", "http", "nginx")
CANNOT_BE_SEEN: Final[Mapping[str, str]] = {}
"""The federations that are `unseen` even with signed requests, and why. None by now: what remains unseen is a filter
that lets the exporter pass and stops homeservers, and the kit has no such federation."""
_OWN_NAME: Final = "exporter.test"
_OWN_NUMBER: Final = 399  # no federation of the kit has it
_MARK: Final = "unseen"


def chosen() -> dict[str, Any]:
    """Return the observations by ID. What is marked `unseen` counts, unless it is known that it cannot be seen."""
    observations = yaml.safe_load((KIT / "observed.yaml").read_text(encoding="utf-8"))
    return {
        ident: {name: value for name, value in seen.items() if name != _MARK or ident in CANNOT_BE_SEEN}
        for ident, seen in observations.items()
        if seen.get(_MARK) or (ident.split("-")[0] in GROUPS and not run_agreement.not_counted(seen))
    }


def authenticate_requests(federation: Any, key: SigningKey) -> None:
    """Let its homeserver answer the exporter's signed requests as Synapse does, which is known to have the key."""
    unsigned = federation.usual_answer

    def answer(request: Any) -> Any:
        header = request.headers.get("authorization")
        if not header or not engine.SIGNED.match(request.path):
            return unsigned(request)
        signed = {"method": request.method, "uri": request.target, "origin": _OWN_NAME, "destination": federation.name}
        if f'sig="{engine.signature(key.private, signed)}"' in header:
            return engine.Answer(404, {"errcode": "M_NOT_FOUND", "error": "Not found"})
        error = f"Invalid signature for server {_OWN_NAME}"
        return engine.Answer(401, {"errcode": "M_UNAUTHORIZED", "error": error})

    federation.usual_answer = answer


def build(world: Any, observations: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """Return the federations by ID, without those that take long: a signed look takes several requests."""
    federations = {}
    for number, (ident, set_up) in enumerate(engine.FEDERATIONS.items(), 1):
        if ident in observations:
            federations[ident] = engine.Federation(world, ident, number)
            authenticate_requests(federations[ident], key)
            set_up(federations[ident])
    return {ident: federation for ident, federation in federations.items() if not federation.slow}


def introduce(world: Any, seed: str) -> dict[str, Any]:
    """Give the exporter a name, an address and a certificate. Return its section `outbound`."""
    own = engine.Federation(world, _OWN_NAME.removesuffix(".test"), _OWN_NUMBER)
    own.address()
    key, certificate = world.intermediate.issue(_OWN_NAME)
    parts = pki.pem(certificate), pki.pem(world.intermediate.certificate), pki.key_pem(key)
    pem = world.write("exporter.pem", b"".join(parts))
    signing_key = world.write("signing.key", seed.encode())
    signing_key.chmod(0o600)
    return {
        "server_name": _OWN_NAME,
        "signing_key_file": str(signing_key),
        "listen": [f"{own.v4()}:8448"],
        "tls": {"cert_file": str(pem), "key_file": str(pem)},
    }


async def check(names: list[str], config: Path) -> dict[str, Any]:
    """Return the reports of `check --outbound`, by server name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "check", *names),
        *("--config", str(config), "--outbound", "--format", "json"),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    output, _ = await process.communicate()
    return {report["server_name"]: report for report in map(json.loads, output.splitlines())}


async def look(folder: Path) -> int:
    namespaces.set_up(folder)
    seed, world, observations = str(generate_seed()), engine.World(folder), chosen()
    key = SigningKey.from_seed(_OWN_NAME, parse_seed(seed))
    federations = build(world, observations, key)
    observations = {ident: observations[ident] for ident in federations}
    names = [federation.name for federation in federations.values()]
    config = folder / "config.yaml"
    settings = {
        "servers": names,
        "network": {
            "resolvers": [engine.RESOLVER],
            "ca_file": str(world.ca_file),
            "allow_networks": engine.NETWORKS,
        },
        "outbound": introduce(world, seed),
    }
    config.write_text(yaml.safe_dump(settings))
    await world.start()
    reports = await check(names, config)
    by_ident = {ident: reports.get(federation.name) for ident, federation in federations.items()}
    return 0 if run_agreement.summarize(observations, by_ident, verbose=True) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(namespaces.INSIDE, action="store_true", help=argparse.SUPPRESS)
    if not parser.parse_args().inside:
        return namespaces.run_inside("tests.agreement.signed", [])
    with tempfile.TemporaryDirectory(prefix="agreement-") as folder:
        return namespaces.until_orphaned(look(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
