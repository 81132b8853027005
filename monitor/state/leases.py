"""Leases: each makes one process the leader, until it expires by the database's clock."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, literal, or_, select, update

from monitor.state.database import database_now, insert_unless_there, writing
from monitor.state.tables import lease as leases


class LeaseLost(Exception):
    """Another process is or may be the leader: this transaction must be rolled back."""


class Lease(NamedTuple):
    """A held lease. The generation, which is higher for each new leader, is the fence."""

    name: str
    holder: str
    generation: int


def acquire(engine: Engine, name: str, holder: str, duration: int) -> Lease | None:
    """Takes the lease for `duration` ms if it is free or expired; else None.

    Raises StateUnavailable.
    """
    with writing(engine) as connection:
        now = database_now(connection)
        generation = connection.execute(
            update(leases)
            .where(
                leases.c.name == name,
                # A lease that lasts longer than possible is from before a clock was set back.
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
    """Extends the lease to `duration` ms from now; False if it expired. Raises StateUnavailable."""
    with writing(engine) as connection:
        return _set_expiry(connection, lease, database_now(connection) + duration)


def fence(connection: Connection, lease: Lease) -> None:
    """The first statement of a leader's transaction: no other process can lead until it ends.

    Raises LeaseLost. Do not catch it inside the transaction, which must roll back.
    """
    # Writing the row without a change locks it.
    if not _set_expiry(connection, lease, leases.c.expires_at):
        raise LeaseLost(f"{lease.holder} no longer holds the lease {lease.name!r}")


def release(engine: Engine, lease: Lease) -> None:
    """Gives the lease up, if it is still held. Raises StateUnavailable."""
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
