"""The SQL of the database."""

from typing import Final

# ---------------------------------------------------------------- writing

PUT_MEMORY: Final = """
    INSERT INTO servers (name, last_result, memory) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET last_result = excluded.last_result, memory = excluded.memory
"""
ADD_RESULT: Final = """
    INSERT INTO results (bucket_seconds, bucket, server, full, partial, none, offline)
    VALUES (?, ?, (SELECT id FROM servers WHERE name = ?), ?, ?, ?, ?)
    ON CONFLICT (bucket_seconds, bucket, server) DO UPDATE SET
        full = full + excluded.full, partial = partial + excluded.partial,
        none = none + excluded.none, offline = offline + excluded.offline
"""
END_EARLIER: Final = "UPDATE incidents SET ended = ? WHERE server = ? AND ended IS NULL AND began < ?"
PUT_INCIDENT: Final = """
    INSERT INTO incidents (server, began, ended, phases) VALUES (?, ?, ?, ?)
    ON CONFLICT (server, began) DO UPDATE SET ended = excluded.ended, phases = excluded.phases
"""
PUT_FIRST_FAILURE: Final = "INSERT OR REPLACE INTO first_failures (server, began, report) VALUES (?, ?, ?)"
PUT_CHANGE: Final = "INSERT OR REPLACE INTO changes (server, at, subject, before, after) VALUES (?, ?, ?, ?, ?)"
# Each server has a bounded number of rows: the parameters are the server twice, and the number of rows to keep.
KEEP_INCIDENTS: Final = """
    DELETE FROM incidents WHERE server = ?
    AND began <= (SELECT began FROM incidents WHERE server = ? ORDER BY began DESC LIMIT 1 OFFSET ?)
"""
KEEP_FIRST_FAILURES: Final = """
    DELETE FROM first_failures WHERE server = ?
    AND began <= (SELECT began FROM first_failures WHERE server = ? ORDER BY began DESC LIMIT 1 OFFSET ?)
"""
KEEP_CHANGES: Final = """
    DELETE FROM changes WHERE server = ?
    AND at <= (SELECT at FROM changes WHERE server = ? ORDER BY at DESC LIMIT 1 OFFSET ?)
"""

# ---------------------------------------------------------------- reading

MEMORIES: Final = """
    SELECT name, memory, began, phases FROM servers LEFT JOIN incidents ON server = id AND ended IS NULL
    WHERE name IN (SELECT value FROM json_each(?)) ORDER BY began
"""
# First those that began later, in the order of one index; then those that began before and still lasted, by another.
INCIDENTS: Final = """
    SELECT name, began, ended, phases FROM (
        SELECT * FROM (
            SELECT * FROM incidents WHERE began >= :since {of_server} ORDER BY began DESC LIMIT :limit
        )
        UNION ALL SELECT * FROM (
            SELECT * FROM incidents
            WHERE (ended IS NULL OR ended >= :since) AND began < :since {of_server}
            ORDER BY began DESC LIMIT :limit
        )
    ) JOIN servers ON id = server ORDER BY began DESC LIMIT :limit
"""
CHANGES: Final = """
    SELECT name, at, subject, before, after FROM changes JOIN servers ON id = server
    WHERE at >= :since {of_server} ORDER BY at DESC, subject LIMIT :limit
"""
COUNTS: Final = """
    SELECT bucket, full, partial, none, offline FROM results
    WHERE bucket_seconds = ? AND server = ? AND bucket IN (SELECT value FROM json_each(?))
"""
FIRST_FAILURE: Final = "SELECT report FROM first_failures WHERE server = ? AND began = ?"
SERVER: Final = "SELECT id FROM servers WHERE name = ?"

# ---------------------------------------------------------------- pruning

# An incident of a server that is no longer watched ended, as far as anybody knows, with the last result.
END_ABANDONED: Final = """
    UPDATE incidents SET ended = (SELECT last_result FROM servers WHERE id = server)
    WHERE ended IS NULL AND (SELECT last_result FROM servers WHERE id = server) < :abandoned
"""
FORGET: Final = (
    "DELETE FROM incidents WHERE ended < :oldest",
    "DELETE FROM changes WHERE at < :oldest",
    "DELETE FROM servers WHERE last_result < :oldest",
)
FORGET_RESULTS: Final = "DELETE FROM results WHERE bucket_seconds = ? AND bucket < ?"
# The oldest tenth of each, as far as necessary: counts of results are missed least, and incidents most.
FORGET_OLDEST_RESULTS: Final = """
    DELETE FROM results WHERE bucket_seconds = :seconds AND bucket <= (
        SELECT min(bucket) + (max(bucket) - min(bucket)) / 10 FROM results WHERE bucket_seconds = :seconds
    )
"""
FORGET_OLDEST_CHANGES: Final = """
    DELETE FROM changes
    WHERE at <= (SELECT at FROM changes ORDER BY at LIMIT 1 OFFSET (SELECT count(*) FROM changes) / 10)
"""
FORGET_OLDEST_INCIDENTS: Final = """
    DELETE FROM incidents WHERE ended IS NOT NULL
    AND began <= (SELECT began FROM incidents ORDER BY began LIMIT 1 OFFSET (SELECT count(*) FROM incidents) / 10)
"""

# ---------------------------------------------------------------- moving to the database that is attached as `file`

MOVE: Final = (
    """
    INSERT INTO file.servers (name, last_result, memory) SELECT name, last_result, memory FROM main.servers WHERE true
    ON CONFLICT (name) DO UPDATE SET last_result = excluded.last_result, memory = excluded.memory
    """,
    """
    UPDATE file.incidents SET ended = (
        SELECT min(later.began) FROM main.incidents AS later JOIN main.servers AS here ON here.id = later.server
        JOIN file.servers AS there ON there.name = here.name
        WHERE there.id = file.incidents.server AND later.began > file.incidents.began
    ) WHERE ended IS NULL
    """,
    """
    INSERT INTO file.incidents (server, began, ended, phases)
    SELECT there.id, began, ended, phases FROM main.incidents
    JOIN main.servers AS here ON here.id = server JOIN file.servers AS there ON there.name = here.name WHERE true
    ON CONFLICT (server, began) DO UPDATE SET ended = excluded.ended, phases = excluded.phases
    """,
    """
    INSERT OR REPLACE INTO file.first_failures (server, began, report)
    SELECT there.id, began, report FROM main.first_failures
    JOIN main.servers AS here ON here.id = server JOIN file.servers AS there ON there.name = here.name
    """,
    """
    INSERT OR REPLACE INTO file.changes (server, at, subject, before, after)
    SELECT there.id, at, subject, before, after FROM main.changes
    JOIN main.servers AS here ON here.id = server JOIN file.servers AS there ON there.name = here.name
    """,
    """
    INSERT INTO file.results (bucket_seconds, bucket, server, full, partial, none, offline)
    SELECT bucket_seconds, bucket, there.id, full, partial, none, offline FROM main.results
    JOIN main.servers AS here ON here.id = server JOIN file.servers AS there ON there.name = here.name WHERE true
    ON CONFLICT (bucket_seconds, bucket, server) DO UPDATE SET
        full = full + excluded.full, partial = partial + excluded.partial,
        none = none + excluded.none, offline = offline + excluded.offline
    """,
)
