"""`python -m tests.faults` prints a table of all hostile servers, and fails if the exporter does not withstand one."""

from rich.console import Console
from rich.table import Table

from tests.faults.matrix import complaints, describe, probe_all
from tests.lab.hostile import HOSTILE_SERVERS

_COLUMNS = 140
_CPU_NOTE = (
    "CPU: relative to the CPU time of a healthy server. Longest step: in verifications by a P-384 key; while it lasts, "
    "all other probes stand still."
)


def main() -> None:
    console, findings = Console(width=_COLUMNS), probe_all()
    title = f"{len(HOSTILE_SERVERS)} hostile servers"
    table = Table("server", "expected", "found", "seconds", "memory", "CPU", "longest step", title=title)
    for server in HOSTILE_SERVERS:
        finding = findings[server.server_name]
        table.add_row(
            server.server_name.partition(".")[0],
            describe(server.expected),
            describe(finding.problems),
            f"{finding.seconds:.2f}",
            f"{finding.grown_bytes / 1024:.0f} KiB",
            f"{finding.cpu:.1f} x",
            f"{finding.longest_step:.1f}",
        )
    console.print(table)
    console.print(_CPU_NOTE)
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
