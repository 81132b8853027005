"""Names of metrics in use: each with the sensor that brought it in, and when it was last sent.

That is known to the day, so a day is added to the time after which a name is free.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from monitor.model import DAY
from monitor.state.database import database_now, insert_unless_there
from monitor.state.tables import metric


def in_use(connection: Connection, retention: int) -> dict[str, int | None]:
    """Names sent within the last `retention` ms -> the sensor that sent each first, where that is
    known."""
    oldest = database_now(connection) - retention - DAY
    query = select(metric.c.name, metric.c.brought_by).where(metric.c.last_sent_at >= oldest)
    return {row.name: row.brought_by for row in connection.execute(query)}


def note(connection: Connection, senders: Mapping[str, int], retention: int) -> None:
    """These names were sent just now, each by this sensor among others; those not sent for
    `retention` ms are free again."""
    now = database_now(connection)
    connection.execute(delete(metric).where(metric.c.last_sent_at < now - retention - DAY))
    for name, mac in sorted(senders.items()):
        connection.execute(
            insert_unless_there(connection, metric)
            .values(name=name, brought_by=mac, last_sent_at=now)
            .on_conflict_do_update(index_elements=[metric.c.name], set_={"last_sent_at": now})
        )
