"""The landing page at `/`: plain HTML that loads nothing else."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from string import Template
from typing import Final

from exporter import VERSION
from exporter.judging.verdict import Federation
from exporter.probing.connectivity import Outage
from exporter.web.headers import SECURITY_HEADERS

LINKS = (
    ("/metrics", "the metrics for Prometheus"),
    ("/api/openapi.json", "the description of the API, in OpenAPI 3.1"),
    ("/-/healthy", "whether the exporter is running"),
    ("/-/ready", "whether the exporter is ready: it is probing servers"),
)

_STATES: Final = (
    (Federation.FULL, "✓", "federate"),
    (
        Federation.PARTIAL,
        "!",
        "only in part: some homeservers cannot federate, or joins or messages do not get through",
    ),
    (Federation.NONE, "✗", "do not federate: neither Synapse nor Dendrite gets through"),
    (None, "\N{EN DASH}", "without a result yet"),
)

STYLE = """
:root { color-scheme: light dark; --quiet: light-dark(#57606a, #9aa4af); --line: light-dark(#d0d7de, #3d444d); }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto 0; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0; }
p { margin: .25rem 0 2rem; color: var(--quiet); }
ul { list-style: none; margin: 0 0 2rem; padding: 0; }
ul:empty { display: none; }
dl { display: grid; grid-template-columns: max-content 1fr; margin: 0; border-top: 1px solid var(--line); }
dt, dd { margin: 0; padding: .5rem 0; border-bottom: 1px solid var(--line); }
dd { padding-left: 1.5rem; color: var(--quiet); }
a { font-family: ui-monospace, monospace; }
"""

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Matrix federation exporter</title>
<style>$style</style>
</head>
<body>
<main>
<h1>Matrix federation exporter</h1>
<p>Version $version, watching $watched.$outage</p>
<ul>
$states
</ul>
<dl>
$links
</dl>
</main>
</body>
</html>
""")

# A browser applies only this style, whatever the page may contain.
_DIGEST = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {"Content-Security-Policy": f"{SECURITY_HEADERS['Content-Security-Policy']}; style-src 'sha256-{_DIGEST}'"}


def render(servers: Mapping[Federation | None, int], outage: Outage | None = None) -> str:
    """Return the page. `servers` is the number of watched servers in each state; None is that without a report.

    The links are relative, so that they work below a path of a reverse proxy too.
    """
    total = sum(servers.values())
    watched = "1 server" if total == 1 else f"{total:,} servers"
    states = "\n".join(
        f"<li>{sign} {servers[state]:,} {escape(text)}</li>" for state, sign, text in _STATES if servers.get(state)
    )
    note = f" The exporter's own network is down, so it cannot probe them: {outage.value}." if outage else ""
    links = "\n".join(
        f'<dt><a href=".{escape(path)}">{escape(path)}</a></dt><dd>{escape(purpose)}</dd>' for path, purpose in LINKS
    )
    return _PAGE.substitute(
        style=STYLE, version=escape(VERSION), watched=escape(watched), outage=escape(note), states=states, links=links
    )
