"""`python -m tests.faults` prints a table of all hostile servers, and fails if the exporter does not withstand one."""

from rich.console import Console
from rich.table import Table

from tests.faults.matrix import complaints, describe, probe_all
from tests.lab.hostile import HOSTILE_SERVERS

_COLUMNS = 120


def main() -> None:
    console, findings = Console(width=_COLUMNS), probe_all()
    title = f"{len(HOSTILE_SERVERS)} hostile servers"
    table = Table("server", "expected", "found", "seconds", "memory", title=title)
    for server in HOSTILE_SERVERS:
        finding = findings[server.server_name]
        label, grown = server.server_name.partition(".")[0], f"{finding.grown_bytes / 1024:.0f} KiB"
        table.add_row(label, describe(server.expected), describe(finding.problems), f"{finding.seconds:.2f}", grown)
    console.print(table)
    failures = [
        f"{server.server_name} ({server.shows}): {complaint}"
        for server in HOSTILE_SERVERS
        for complaint in complaints(server, findings[server.server_name])
    ]
    for line in failures:
        console.print(line, markup=False)
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
