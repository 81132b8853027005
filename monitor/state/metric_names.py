"""Names of metrics in use: rows of `metric`, with the sensor that first sent each, and when it was
last sent.

That time is accurate to a day, so a name is free only a day after the retention.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from monitor.model import DAY
from monitor.state.database import database_now, insert_unless_there
from monitor.state.tables import metric


def in_use(connection: Connection, retention: int) -> dict[str, int | None]:
    """Names sent within the last `retention` ms -> the sensor that first sent each, if known."""
    oldest = database_now(connection) - retention - DAY
    query = select(metric.c.name, metric.c.brought_by).where(metric.c.last_sent_at >= oldest)
    return {row.name: row.brought_by for row in connection.execute(query)}


def note(connection: Connection, senders: Mapping[str, int], retention: int) -> None:
    """Records that these names were sent now: name -> a sensor that sent it. Deletes names that
    were not sent for `retention` ms."""
    now = database_now(connection)
    connection.execute(delete(metric).where(metric.c.last_sent_at < now - retention - DAY))
    for name, mac in sorted(senders.items()):
        connection.execute(
            insert_unless_there(connection, metric)
            .values(name=name, brought_by=mac, last_sent_at=now)
            .on_conflict_do_update(index_elements=[metric.c.name], set_={"last_sent_at": now})
        )
