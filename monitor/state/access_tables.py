"""Tables of users, tokens, logins and the audit trail, in the same database as `tables`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
)

from monitor.state.tables import RowId, metadata

# Generated keys of this installation, encrypted with the secret key.
secret = Table(
    "secret",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    # ingest | viewer | operator | administrator
    Column("role", String(20), nullable=False, server_default="ingest"),
    # SHA-256 of the 256 random bits.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# Users. The password is NULL until it is set, and for users of OpenID Connect.
user = Table(
    "user",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(80), nullable=False),
    # The case-folded name, for comparison.
    Column("key", String(240), nullable=False, unique=True),
    # In lower case.
    Column("email", String(254), unique=True),
    Column("password", String(200)),
    # viewer | operator | administrator
    Column("role", String(20), nullable=False),
    Column("active", Boolean, nullable=False),
    # "issuer subject", if the user logs in with OpenID Connect.
    Column("subject", String(600), unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("last_login_at", BigInteger),
)

# One row for each browser in which a user is logged in.
login = Table(
    "login",
    metadata,
    # SHA-256 of the 256 random bits in the browser's cookie.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey(user.c.id), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    # Accurate to some minutes.
    Column("seen_at", BigInteger, nullable=False),
)

# Failed logins, by account and by address: the next attempt must wait.
login_failure = Table(
    "login_failure",
    metadata,
    # SHA-256, because users sometimes type their password in the name field.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", BigInteger, nullable=False, index=True),
    Column("blocked_until", BigInteger, nullable=False),
)

# The audit trail.
audit = Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    # The name of a user or token, or "command line".
    Column("who", String(200), nullable=False),
    Column("what", String(80), nullable=False),
    Column("subject", String(300), nullable=False),
    # Never a secret.
    Column("detail", JSON, nullable=False),
)

# Status pages, visible to all who have the link.
public_page = Table(
    "public_page",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("title", String(100), nullable=False),
    # A list of names; NULL for the whole fleet.
    Column("sites", JSON(none_as_null=True)),
    # Whether the page shows names of sensors, or only counts.
    Column("names", Boolean, nullable=False),
    # 128 random bits, as written in the link.
    Column("key", String(22), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)
