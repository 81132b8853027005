"""Who leads: a named lease that runs out by the database's clock, with a generation as fence."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, literal, or_, select, update

from monitor.state.database import database_now, insert_unless_there, writing
from monitor.state.tables import lease as leases


class LeaseLost(Exception):
    """Another process leads, or may lead by now: nothing of this transaction may be kept."""


class Lease(NamedTuple):
    """Leadership under `name`; each new leader has a higher generation."""

    name: str
    holder: str
    generation: int


def acquire(engine: Engine, name: str, holder: str, duration: int) -> Lease | None:
    """Take the lease for `duration` ms if it is free or has run out; else None.

    Raises StateUnavailable.
    """
    with writing(engine) as connection:
        now = database_now(connection)
        generation = connection.execute(
            update(leases)
            .where(
                leases.c.name == name,
                # One that lasts longer than any was written before the clock was set back.
                or_(leases.c.expires_at <= now, leases.c.expires_at > now + 10 * duration),
            )
            .values(holder=holder, generation=leases.c.generation + 1, expires_at=now + duration)
            .returning(leases.c.generation)
        ).scalar()
        if generation is None:
            generation = _first(connection, name, holder, duration)
    return None if generation is None else Lease(name, holder, generation)


def _first(connection: Connection, name: str, holder: str, duration: int) -> int | None:
    """The first generation of a lease; None if the lease has existed before."""
    expires_at = database_now(connection) + duration
    row = select(literal(name), literal(holder), literal(1), expires_at).where(literal(True))
    return connection.execute(
        insert_unless_there(connection, leases)
        .from_select(["name", "holder", "generation", "expires_at"], row)
        .on_conflict_do_nothing()
        .returning(leases.c.generation)
    ).scalar()


def renew(engine: Engine, lease: Lease, duration: int) -> bool:
    """Hold it for `duration` ms from now; False when it ran out before. Raises StateUnavailable."""
    with writing(engine) as connection:
        return _set_expiry(connection, lease, database_now(connection) + duration)


def fence(connection: Connection, lease: Lease) -> None:
    """First statement of each transaction of a leader; no other can take over until it ends.

    Raises LeaseLost, which the caller lets pass so that the transaction rolls back.
    """
    # Writing the row as it is locks it: a take-over waits for the end of this transaction.
    if not _set_expiry(connection, lease, leases.c.expires_at):
        raise LeaseLost(f"{lease.holder} no longer holds the lease {lease.name!r}")


def release(engine: Engine, lease: Lease) -> None:
    """Let the next one lead at once; nothing happens if it was lost. Raises StateUnavailable."""
    with writing(engine) as connection:
        _set_expiry(connection, lease, literal(0))


def _set_expiry(connection: Connection, lease: Lease, expires_at: ColumnElement[int]) -> bool:
    held = connection.execute(
        update(leases)
        .where(
            leases.c.name == lease.name,
            leases.c.generation == lease.generation,
            leases.c.expires_at > database_now(connection),
        )
        .values(expires_at=expires_at)
    )
    return held.rowcount == 1
