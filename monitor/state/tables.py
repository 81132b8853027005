"""The tables of the state database. Times and durations are in ms, MAC addresses integers."""

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

# SQLite generates ids only in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")

# One row. Each transaction that changes sensors or incidents increments `version`, and sets it in
# the changed rows, so that a reader can query only what is newer than its copy.
service = Table(
    "service",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # The horizon. 0 before the first coverage span.
    Column("horizon", BigInteger, nullable=False),
    # When the last sweep succeeded.
    Column("swept_at", BigInteger, nullable=False),
    # The position in the arrival log that sweeps have reached; NULL before the first sweep.
    Column("arrival_position", BigInteger),
    # When the clock was last set back because it was ahead (0 for never), and its time before that.
    # Heartbeats with times between the two were received before `reset_at`.
    Column("reset_at", BigInteger, nullable=False, server_default="0"),
    Column("reset_from", BigInteger, nullable=False, server_default="0"),
    # Since when monitoring is behind, if a notice has reported it; else 0.
    Column("behind_since", BigInteger, nullable=False, server_default="0"),
    # Why schedulers could not sweep recently; empty if no cause is known.
    Column("hindrance", Text, nullable=False, server_default=""),
    # Up to when notices have reported blind windows, and when the last one was enqueued.
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
    # NULL for the default.
    Column("threshold", BigInteger),
    Column("first_seen", BigInteger),
    # Whether it has sent a live heartbeat: only then may its silence open an incident.
    Column("live", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    # When it was last resumed, or added again after it was removed.
    Column("monitored_since", BigInteger),
    # Set for a tombstone. Readers find removals by its version.
    Column("forgotten_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    # Readers query what is newer than their copy, in pages.
    Index("ix_sensor_version_mac", "version", "mac"),
)

# When sensors were paused; `stop` is NULL while one is paused.
pause = Table(
    "pause",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("mac", BigInteger, nullable=False, index=True),
    Column("start", BigInteger, nullable=False),
    Column("stop", BigInteger, index=True),
)

# Sources: data directories with their shippers.
source = Table(
    "source",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("open", Boolean, nullable=False),
    # Up to when it has stored all that it received.
    Column("until", BigInteger, nullable=False),
    # For how long `until` has not advanced, counted only while the store is readable.
    Column("stalled_for", BigInteger, nullable=False),
    Column("farewell", Boolean, nullable=False),
)

# Time that some open source did not cover; silence in it proves nothing.
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
    # The name of the route of its messages; empty for the default route.
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
    # False if it is presumed down.
    Column("proven", Boolean, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    # The number of blind windows during the silence.
    Column("interruptions", BigInteger, nullable=False, server_default="0"),
    # The usual interval between its heartbeats before the silence, if known.
    Column("usual_interval", BigInteger),
    # While the sensor is flapping: when the first incident of the episode opened.
    Column("flapping_since", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(200)),
    Column("closed_at", BigInteger),
    # recovered | threshold changed | paused | forgotten
    Column("closed_reason", String(40)),
    # The first heartbeat after the silence, if it recovered.
    Column("recovered_at", BigInteger),
    Column("group_id", ForeignKey(alert_group.c.id), nullable=False, index=True),
    Column("version", BigInteger, nullable=False, index=True),
    # For lists of open incidents, and for retention.
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
    # The same for all attempts, so that the receiver can detect duplicates.
    Column("key", String(80), nullable=False, unique=True),
    Column("group_id", ForeignKey(alert_group.c.id), nullable=False, index=True),
    Column("channel", String(80), nullable=False),
    # One recipient of a channel with several. NULL for a channel with one, and before the message
    # is split.
    Column("recipient", String(320)),
    # down | recovered | reminder | flapping | notice
    Column("kind", String(20), nullable=False),
    # For escalations: only incidents that have been open for this long are included.
    Column("delay", BigInteger, nullable=False, server_default="0"),
    # pending | claimed | sent | failed | cancelled
    Column("state", String(20), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", BigInteger, nullable=False),
    # Set while all its incidents are held.
    Column("held_until", BigInteger),
    # While claimed: when another notifier may take over, by the database's clock.
    Column("claimed_until", BigInteger),
    Column("claimed_by", String(80)),
    # Written at the first claim, so that all attempts are identical. NULL before that.
    Column("body", JSON(none_as_null=True)),
    Column("frozen_at", BigInteger),
    Column("finished_at", BigInteger, index=True),
    # Why it was cancelled, failed or held, or the error of the last attempt.
    Column("outcome", Text),
)
Index("ix_notification_due", notification.c.state, notification.c.next_attempt_at)

# The incidents that a frozen message includes.
notification_incident = Table(
    "notification_incident",
    metadata,
    Column("notification_id", ForeignKey(notification.c.id), primary_key=True),
    Column("incident_id", ForeignKey(incident.c.id), primary_key=True, index=True),
)

# Attempts to send messages.
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

# Counts for /metrics, which are kept longer than what they count.
tally = Table(
    "tally",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(40), nullable=False),
    # A JSON list of texts.
    Column("labels", String(400), nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# Why no message about an incident was sent to a channel, or why it is held.
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

# Channels, besides those of the settings.
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
    # The maximum number of messages in 24 hours; NULL for no limit.
    Column("budget", Integer),
    Column("created_at", BigInteger, nullable=False),
)

# The health of channels, by name, because channels of the settings have no row in `channel`.
channel_health = Table(
    "channel_health",
    metadata,
    Column("name", String(80), primary_key=True),
    # The recipient, if the channel has several.
    Column("recipient", String(320), primary_key=True, server_default=""),
    # When a notifier last served it.
    Column("served_at", BigInteger, nullable=False, server_default="0"),
    # When open alerts were last sent again, for a receiver that would otherwise forget them.
    Column("renewed_at", BigInteger, nullable=False, server_default="0"),
    Column("failing_since", BigInteger),
    # When a notice that it is failing was enqueued.
    Column("reported_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("error", Text),
    Column("error_at", BigInteger),
)

# Routes. The first one, by position, whose matchers all hold decides which channels are notified.
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
    # The first window in local time: 2026-03-29T01:30.
    Column("start", String(16), nullable=False),
    Column("stop", String(16), nullable=False),
    # An RRULE of RFC 5545; NULL if it does not recur.
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
    # The MAC address that sent it first, if known.
    Column("brought_by", BigInteger),
    # Accurate to a day.
    Column("last_sent_at", BigInteger, nullable=False, server_default="0"),
)

# The last refused heartbeat of each sensor.
refusal = Table(
    "refusal",
    metadata,
    Column("mac", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    # A key of `refusal.REASONS`.
    Column("reason", String(20), nullable=False),
)

# Numbers of refused heartbeats, for some minutes.
refused_count = Table(
    "refused_count",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("reason", String(20), nullable=False),
    Column("number", Integer, nullable=False),
)

# Leases. Each new leader increments `generation`. Times are of the database's clock.
lease = Table(
    "lease",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
