"""The page that compares `check` with the public federation tester.

The outputs are real: the federations run on loopback, and are probed once. Durations, keys and dates differ in every
run, so the page is only written anew if anything else has changed.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from exporter import config, wiring
from exporter.demo.federation import Federation
from exporter.model import names
from exporter.probing.prober import Prober
from exporter.reports import report_text
from exporter.reports.tester_json import tester_json
from tests.lab.catalogue import EVERY_SERVER

PAGE: Final = Path(__file__).parent / "compared-with-the-federation-tester.md"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One broken federation, and what `check` adds to what the tester says."""

    server_name: str
    title: str
    added: str
    """A list in Markdown."""


COMPARISONS: Final = (
    Comparison(
        "well-known-html.lab.test",
        "Stage `well_known`: a web page in place of the well-known",
        """
- The web server is at fault: it returns a page for every path. The remedy shows the JSON that belongs there, and
  says that a 404 is right if there is no delegation.
- The refused connection follows from that, because peers without a well-known use port 8448. It is enough to
  repair the well-known.
        """,
    ),
    Comparison(
        "srv-servfail.lab.test",
        "Stage `srv`: DNS servers that fail on SRV lookups",
        """
- Synapse gives up here. Dendrite and the Conduit family go on to port 8448, which works. The Go tester goes on like
  Dendrite, so to its own verdict this server is healthy; the verdict below is the exporter's.
- The DNS servers are at fault, and not the homeserver: the remedy says what they should answer.
        """,
    ),
    Comparison(
        "dangling.lab.test",
        "Stage `dns`: an alias of a name that does not exist",
        """
- Which name is missing: the target of the alias. An error of Go's resolver only names what was looked up.
- What to do: create an A or AAAA record, or correct the name.
        """,
    ),
    Comparison(
        "incomplete-chain.lab.test",
        "Stage `tls`: a certificate without its intermediate",
        """
- Which certificate is missing, by name, and which file to configure instead.
- The right homeserver answers behind the certificate, so nothing else is wrong.
- When the certificate expires, which the tester never says.
        """,
    ),
    Comparison(
        "other-keys.lab.test",
        "Stage `keys`: the signing keys of another server",
        """
- The tester says that `MatchingServerName` is false, without an error. `check` says whose keys they are, whose they
  should be, and where to look.
        """,
    ),
    Comparison(
        "path-decoded.lab.test",
        "Stage `proxy`: a reverse proxy that decodes paths",
        """
- Everything that the tester checks is healthy, so `FederationOK` is true, and yet joins and messages fail. `check`
  requests paths as homeservers do, and finds out.
- The remedy has the settings for nginx, Apache, Traefik and Envoy.
        """,
    ),
)

_HEAD: Final = """\
# Compared with the public federation tester

For six broken federations, one for each stage: what `check` prints, and what the public federation tester's format
shows for the same probe. The federations are servers of the test federation, and the outputs are real; a test compares
them with what the programs print today.

The JSON is the response of the exporter's own `/api/report`. It has the format of the Go tester
(matrix-org/matrix-federation-tester, commit ded612f), with the exporter's own messages and verdict: see
[api.md](api.md#replacing-the-public-federation-tester). The Go tester did not run here. Its messages are those of Go's
libraries, such as `x509: certificate signed by unknown authority`.

`check` shows everything that the JSON contains, and a test makes sure that it does:

| in the JSON | in the output of `check` |
|---|---|
| `FederationOK` | the first line, in three states: ✓ federates, ! federates only in part, ✗ does not |
| `WellKnownResult` | `well_known` |
| `DNSResult.SRVRecords`, `SRVError` | `srv` |
| `DNSResult.Hosts`, `Addrs` | `dns`, and a branch for each address |
| `ConnectionErrors` | the stage that failed in the branch of the address |
| `Certificates`, `Cipher`, `Errors` | `tls`: names, issuer, expiry, fingerprints, TLS version, cipher |
| `Checks`, `Ed25519VerifyKeys`, `Keys` | `keys`: whose they are, how long valid, each check that failed |
| `Version` | `version` |

Certificates and keys are listed in detail unless the server federates in full.
"""

_SECTION: Final = """
## {title}

What `check` adds:

{points}

```
$ matrix-federation-exporter check {server_name}
{text}```

```
$ curl 'http://127.0.0.1:10448/api/report?server_name={server_name}'
{document}
```
"""

_CHANGING: Final = (
    (r"[A-Za-z0-9+/]{43}(?:[A-Za-z0-9+/]{43})?(?![A-Za-z0-9+/])", "base64"),
    (r"127\.0\.0\.1:\d+", "resolver"),
    (r"(?:<\s*)?\d+(?:\.\d+)?\s*m?s\b(?:[\s│]*▇*)", "duration"),
    (r"ed25519:a_[0-9a-f]{6}", "key"),
    (r'"CacheExpiresAt": [1-9]\d*|"(?:valid_until|expired)_ts": \d+', "moment"),
    (r"\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?", "date"),
    (r"\bin \d+ days\b|\b\d+ hours ago\b", "time"),
    (r"(?:[0-9a-f]{16}[\s│├└─]*){4}", "fingerprint"),
)
"""What differs in every run."""


async def page() -> str:
    """Return the page, with the outputs of probes that are made now."""
    server_names = [comparison.server_name for comparison in COMPARISONS]
    servers = [server for server in EVERY_SERVER if server.server_name in server_names]
    async with Federation(servers) as federation:
        prober = _prober_of(federation)
        sections = [await _section(prober, comparison) for comparison in COMPARISONS]
    return "".join([_HEAD, *sections])


def _prober_of(federation: Federation) -> Prober:
    with TemporaryDirectory() as folder:
        file = Path(folder, "config.json")
        file.write_text(json.dumps(federation.config()))
        return wiring.build_prober(config.load(file))


async def _section(prober: Prober, comparison: Comparison) -> str:
    report = await prober.run_deep_look(await prober.probe(names.parse(comparison.server_name)))
    return _SECTION.format(
        title=comparison.title,
        points=comparison.added.strip(),
        server_name=comparison.server_name,
        text=report_text.render_plain(report),
        document=json.dumps(tester_json(report), indent=2),
    )


def stable(text: str) -> str:
    """Return the text without what differs in every run, and without line breaks."""
    for pattern, replacement in _CHANGING:
        text = re.sub(pattern, replacement, text)
    return re.sub(r"[\s│├└─]+", " ", text)


def update() -> None:
    """Write the page if it is not what the programs print today."""
    text = asyncio.run(page())
    if not PAGE.exists() or stable(PAGE.read_text()) != stable(text):
        PAGE.write_text(text)
