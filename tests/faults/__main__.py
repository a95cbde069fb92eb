"""`python -m tests.faults`: the table of all faults; it fails where one of them gets the better of the exporter."""

from rich.console import Console
from rich.table import Table

from tests.faults.matrix import complaints, probe_all, shown
from tests.lab.hostile import HOSTILE_SERVERS

WIDTH = 120  # columns


def main() -> None:
    console, findings = Console(width=WIDTH), probe_all()
    table = Table("fault", "expected", "seen", "seconds", "memory", title=f"{len(HOSTILE_SERVERS)} hostile servers")
    for server in HOSTILE_SERVERS:
        finding = findings[server.server_name]
        label, grown = server.server_name.partition(".")[0], f"{finding.grown_bytes / 1024:.0f} KiB"
        table.add_row(label, shown(server.expected), shown(finding.problems), f"{finding.seconds:.2f}", grown)
    console.print(table)
    wrong = [
        f"{server.server_name} ({server.shows}): {complaint}"
        for server in HOSTILE_SERVERS
        for complaint in complaints(server, findings[server.server_name])
    ]
    for line in wrong:
        console.print(line, markup=False)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
