"""The tables of the state database. Moments and durations: milliseconds; a MAC: its integer."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")

# One row. `version` grows with each transaction that changes a sensor or an incident; those rows
# carry the version that changed them, so a reader asks only for what is newer than its copy.
service = Table(
    "service",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # Judged up to here; never goes back. 0 before the first pulse was seen.
    Column("horizon", BigInteger, nullable=False),
    # When the leader last swept with the store in reach.
    Column("swept_at", BigInteger, nullable=False),
    # How far the sweep has read the store's arrival log; NULL before the first sweep.
    Column("arrival_position", BigInteger),
    # The last time that the clock was found to have been ahead: when, and by it, up to when. What
    # the store holds between the two was received before. 0: never.
    Column("reset_at", BigInteger, nullable=False, server_default="0"),
    Column("reset_from", BigInteger, nullable=False, server_default="0"),
    # While judging is behind: since when. 0: it is not.
    Column("behind_since", BigInteger, nullable=False, server_default="0"),
    # Why a scheduler could not judge lately; empty: none is known.
    Column("hindrance", Text, nullable=False, server_default=""),
    # Blindness up to here was told, and when that was.
    Column("blind_told_until", BigInteger, nullable=False, server_default="0"),
    Column("blind_told_at", BigInteger, nullable=False, server_default="0"),
)

sensor = Table(
    "sensor",
    metadata,
    Column("mac", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(200)),
    Column("site", String(200)),
    Column("labels", JSON, nullable=False, default=dict),
    # NULL: the service's default.
    Column("threshold", BigInteger),
    Column("first_seen", BigInteger),
    # Heard live at least once: only then may silence open an incident.
    Column("live", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    # A tombstone: readers with a copy learn of the removal by its version.
    Column("forgotten_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    # Readers with a copy ask for what is newer, some rows at a time.
    Index("ix_sensor_version_mac", "version", "mac"),
)

# When a sensor was paused; stop NULL: it is.
pause = Table(
    "pause",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("mac", BigInteger, nullable=False, index=True),
    Column("start", BigInteger, nullable=False),
    Column("stop", BigInteger, index=True),
)

# Who listens: one data directory with its shipper.
source = Table(
    "source",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("open", Boolean, nullable=False),
    # Up to here all it received is stored.
    Column("until", BigInteger, nullable=False),
    # For how long it has stood still, counted only while the store could be read.
    Column("stalled_for", BigInteger, nullable=False),
    Column("farewell", Boolean, nullable=False),
)

# Time in which not every open source listened; silence during it proves nothing.
blind_window = Table(
    "blind_window",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("start", BigInteger, nullable=False, index=True),
    Column("stop", BigInteger, nullable=False),
)

alert_group = Table(
    "alert_group",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("cohort", String(220), nullable=False),
    # The route its messages take; empty: the default one.
    Column("route", String(80), nullable=False, server_default=""),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, index=True),
)
Index(
    "ix_alert_group_one_open",
    alert_group.c.cohort,
    alert_group.c.route,
    unique=True,
    sqlite_where=alert_group.c.closed_at.is_(None),
    postgresql_where=alert_group.c.closed_at.is_(None),
)

incident = Table(
    "incident",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("mac", BigInteger, nullable=False, index=True),
    Column("last_seen", BigInteger, nullable=False),
    Column("threshold", BigInteger, nullable=False),
    # False: presumed by the second clause, since monitoring was interrupted again and again.
    Column("proven", Boolean, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    # How often monitoring itself was interrupted during the silence.
    Column("interruptions", BigInteger, nullable=False, server_default="0"),
    # How far apart its heartbeats were before the silence, where that could be told.
    Column("usual_interval", BigInteger),
    # While a sensor falls silent again and again: when the first incident of those opened.
    Column("flapping_since", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(200)),
    Column("closed_at", BigInteger),
    # recovered | threshold changed | paused | forgotten
    Column("closed_reason", String(40)),
    # The first heartbeat after the silence, for a recovered one.
    Column("recovered_at", BigInteger),
    Column("group_id", ForeignKey(alert_group.c.id), nullable=False, index=True),
    Column("version", BigInteger, nullable=False, index=True),
    # Open ones in order, and those that retention deletes.
    Index("ix_incident_closed_at_id", "closed_at", "id"),
)
Index(
    "ix_incident_one_open",
    incident.c.mac,
    unique=True,
    sqlite_where=incident.c.closed_at.is_(None),
    postgresql_where=incident.c.closed_at.is_(None),
)

# The outbox: one row is one message to one channel.
notification = Table(
    "notification",
    metadata,
    Column("id", RowId, primary_key=True),
    # Stable over retries; the receiver can tell a repetition by it.
    Column("key", String(80), nullable=False, unique=True),
    Column("group_id", ForeignKey(alert_group.c.id), nullable=False, index=True),
    Column("channel", String(80), nullable=False),
    # Of a channel with several; NULL: its only one, or the row is not yet one for each of them.
    Column("recipient", String(320)),
    # down | recovered | reminder | flapping | notice
    Column("kind", String(20), nullable=False),
    # Includes only incidents open for this long: an escalation waits for an acknowledgement.
    Column("delay", BigInteger, nullable=False, server_default="0"),
    # pending | claimed | sent | failed | cancelled
    Column("state", String(20), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", BigInteger, nullable=False),
    # Set while all it could tell of is silenced, or under maintenance.
    Column("held_until", BigInteger),
    # While claimed: when another notifier may take over, by the database's clock.
    Column("claimed_until", BigInteger),
    Column("claimed_by", String(80)),
    # Written once, at the first claim, so that every retry is identical. NULL: not frozen yet.
    Column("body", JSON(none_as_null=True)),
    Column("frozen_at", BigInteger),
    Column("finished_at", BigInteger, index=True),
    # Why it was cancelled or failed, or the last error while it is tried again.
    Column("outcome", Text),
)
Index("ix_notification_due", notification.c.state, notification.c.next_attempt_at)

# The members of a frozen message.
notification_incident = Table(
    "notification_incident",
    metadata,
    Column("notification_id", ForeignKey(notification.c.id), primary_key=True),
    Column("incident_id", ForeignKey(incident.c.id), primary_key=True, index=True),
)

# Each try to send a message.
attempt = Table(
    "attempt",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("notification_id", ForeignKey(notification.c.id), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    # sent | retry | failed
    Column("result", String(20), nullable=False),
    Column("detail", Text),
)

# What was counted, for metrics: outlives the rows that it counts.
tally = Table(
    "tally",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(40), nullable=False),
    # A JSON list of texts.
    Column("labels", String(400), nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# Why someone was not notified of an incident, or not yet.
suppression = Table(
    "suppression",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("incident_id", ForeignKey(incident.c.id), nullable=False, index=True),
    Column("channel", String(80), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", String(300), nullable=False),
    Column("until", BigInteger),
    UniqueConstraint("incident_id", "channel", "kind", "reason"),
)

# A way to reach one recipient, besides those of the settings.
channel = Table(
    "channel",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("kind", String(40), nullable=False),
    Column("settings", JSON, nullable=False),
    # A JSON object, encrypted with the secret key.
    Column("secrets", LargeBinary),
    Column("enabled", Boolean, nullable=False),
    # Receives the alerts that no route matches.
    Column("is_default", Boolean, nullable=False),
    # The most messages in 24 hours; NULL: any number.
    Column("budget", Integer),
    Column("created_at", BigInteger, nullable=False),
)

# How sending goes on a channel, by name: the settings' own channels have no row above.
channel_health = Table(
    "channel_health",
    metadata,
    Column("name", String(80), primary_key=True),
    # Of a channel with several.
    Column("recipient", String(320), primary_key=True, server_default=""),
    # When a notifier last had it among its channels.
    Column("served_at", BigInteger, nullable=False, server_default="0"),
    # When what stands was last sent again, to a receiver that would forget it.
    Column("renewed_at", BigInteger, nullable=False, server_default="0"),
    Column("failing_since", BigInteger),
    # When the others were told that it keeps failing.
    Column("reported_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("error", Text),
    Column("error_at", BigInteger),
)

# Which channels receive an alert: the first route, by position, whose matchers all hold.
route = Table(
    "route",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("position", Integer, nullable=False),
    Column("matchers", JSON, nullable=False),
    Column("channels", JSON, nullable=False),
    Column("escalate_to", JSON, nullable=False),
    Column("escalate_after", BigInteger),
)

silence = Table(
    "silence",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("matchers", JSON, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False, index=True),
    Column("comment", Text, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("matchers", JSON, nullable=False),
    Column("zone", String(64), nullable=False),
    # The first window by the zone's clocks: 2026-03-29T01:30.
    Column("start", String(16), nullable=False),
    Column("stop", String(16), nullable=False),
    # RFC 5545; NULL: once.
    Column("recurrence", String(500)),
    Column("created_by", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

# Names of metrics in use: the fleet has at most 64 of them.
metric = Table(
    "metric",
    metadata,
    Column("name", String(64), primary_key=True),
    # The MAC address that sent it first, where that is known.
    Column("brought_by", BigInteger),
    # To the day.
    Column("last_sent_at", BigInteger, nullable=False, server_default="0"),
)

# Who leads. `generation` grows at each change of leader; expiry is by the database's clock.
lease = Table(
    "lease",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
