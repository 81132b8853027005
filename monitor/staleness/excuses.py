"""Which silent sensors may be up, because their heartbeats were refused by our fault."""

from collections.abc import Collection

from sqlalchemy import Engine

from monitor.clock import HOST_TOLERANCE
from monitor.state import refusals
from monitor.state.database import reading


def refused_by_us(engine: Engine, macs: Collection[int], since: int, now: int) -> dict[int, int]:
    """mac -> when a heartbeat of it was last refused by our fault, if that was after `since` (ms).

    A time in the future is of a wrong clock, and counts for nothing. Raises StateUnavailable.
    """
    with reading(engine) as connection:
        return refusals.by_our_fault(connection, macs, since, now + HOST_TOLERANCE)
