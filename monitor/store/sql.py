"""SQL statements of the SQLite store."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS heartbeat (
    mac INTEGER NOT NULL, time INTEGER NOT NULL, received INTEGER NOT NULL,
    live INTEGER NOT NULL, metrics TEXT,
    PRIMARY KEY (mac, time)
) WITHOUT ROWID;
-- Last seen of each sensor, so that it takes one row to read.
CREATE TABLE IF NOT EXISTS latest (
    mac INTEGER PRIMARY KEY, seen INTEGER NOT NULL, live_seen INTEGER
);
CREATE INDEX IF NOT EXISTS latest_seen ON latest (seen);
CREATE TABLE IF NOT EXISTS pulse (
    source TEXT NOT NULL, slot INTEGER NOT NULL, start INTEGER NOT NULL,
    until INTEGER NOT NULL, closing INTEGER NOT NULL,
    PRIMARY KEY (source, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrival (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, until INTEGER NOT NULL,
    at INTEGER NOT NULL, beats TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS arrival_at ON arrival (at);
CREATE TABLE IF NOT EXISTS metric_name (name TEXT PRIMARY KEY) WITHOUT ROWID
"""

APPEND = """
INSERT INTO heartbeat (mac, time, received, live, metrics) VALUES {rows}
ON CONFLICT (mac, time) DO UPDATE SET
    received = CASE WHEN live > excluded.live THEN received
        WHEN live < excluded.live THEN excluded.received
        ELSE max(received, excluded.received) END,
    live = max(live, excluded.live),
    metrics = CASE WHEN metrics IS NULL THEN excluded.metrics
        WHEN excluded.metrics IS NULL THEN metrics
        ELSE json_patch(metrics, excluded.metrics) END
"""

LATEST = """
INSERT INTO latest (mac, seen, live_seen) VALUES {rows}
ON CONFLICT (mac) DO UPDATE SET
    seen = max(seen, excluded.seen),
    live_seen = max(coalesce(live_seen, excluded.live_seen),
                    coalesce(excluded.live_seen, live_seen))
"""

HISTORY = """
SELECT mac, time - time % :every, count(*){figures} FROM heartbeat
WHERE mac IN (SELECT value FROM json_each(:macs)) AND time >= :begin AND time < :stop
GROUP BY 1, 2
"""
FIGURES = ", min({value}), avg({value}), max({value})".format(
    value="CAST(json_extract(metrics, :path) AS REAL)"
)

# GAPS jumps over a sensor's heartbeats, starting from `at`:
# - `near` is the last heartbeat within `longer_than` of `at`. Those between are not read.
# - If `near` is `at` itself, a gap starts there, and the jump goes to the first heartbeat after it.
# With ten heartbeats in `longer_than` this is ten to fifteen times faster than lag() over all.
_NEXT = """coalesce(nullif(near, at), (SELECT min(time) FROM heartbeat
    WHERE heartbeat.mac = jump.mac AND time > at AND time < :stop))"""
_NEAR = """(SELECT max(time) FROM heartbeat
    WHERE heartbeat.mac = {table}.mac AND time <= {at} + :longer_than AND time < :stop)"""
GAPS = f"""
WITH RECURSIVE first(mac, at) AS (
    SELECT value, coalesce(
        (SELECT max(time) FROM heartbeat WHERE mac = value AND time < :start),
        (SELECT min(time) FROM heartbeat WHERE mac = value AND time >= :start AND time < :stop)
    ) FROM json_each(:macs)
), jump(mac, at, near, gap) AS ( -- gap: where the gap that ends at `at` started, or NULL
    SELECT mac, at, {_NEAR.format(table="first", at="at")}, NULL FROM first
    UNION ALL
    SELECT mac, {_NEXT}, {_NEAR.format(table="jump", at=_NEXT)}, iif(near > at, NULL, at)
    FROM jump WHERE at IS NOT NULL
)
SELECT mac, NULL, at FROM first WHERE at >= :start OR at IS NULL
UNION ALL
SELECT mac, gap, at FROM jump
WHERE gap IS NOT NULL AND (at > :start OR at IS NULL AND gap + :longer_than < :stop)
"""  # noqa: S608 constant

NEWEST = """
SELECT mac, time, received, live, metrics FROM heartbeat
WHERE mac = ? AND time < ? ORDER BY time DESC LIMIT ?
"""

ENDS = """
SELECT min((SELECT min(time) FROM heartbeat WHERE mac = value)),
    max((SELECT max(time) FROM heartbeat WHERE mac = value)) FROM json_each(?)
"""

POINTS = """
SELECT mac, time, received, live, metrics FROM heartbeat
WHERE mac IN (SELECT value FROM json_each(?)) AND time >= ? AND time < ? ORDER BY time, mac
"""

EXPIRE = """
DELETE FROM heartbeat WHERE mac = :mac AND time < coalesce(
    (SELECT time FROM heartbeat WHERE mac = :mac AND time < :oldest ORDER BY time
        LIMIT 1 OFFSET :limit), :oldest)
"""
