"""`python -m tests.faults`: the table of all faults; it fails where one of them gets the better of the exporter."""

from exporter.lab.hostile import HOSTILE_SERVERS
from tests.bench.tables import console, show
from tests.faults.matrix import complaints, probe_all, shown


def main() -> None:
    findings = probe_all()
    show(
        f"{len(HOSTILE_SERVERS)} hostile servers",
        ["fault", "expected", "seen", "seconds", "memory"],
        [
            [
                server.server_name.partition(".")[0],
                shown(server.expected),
                shown(finding.problems),
                f"{finding.seconds:.2f}",
                f"{finding.grown_bytes / 1024:.0f} KiB",
            ]
            for server in HOSTILE_SERVERS
            for finding in (findings[server.server_name],)
        ],
    )
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
