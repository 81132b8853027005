"""Why no message about an incident was sent to a channel, or why it is held: rows of
`suppression`."""

from collections.abc import Mapping

from sqlalchemy import Connection

from monitor.state import tally
from monitor.state.database import insert_unless_there
from monitor.state.tables import suppression


def record(
    connection: Connection,
    channel: str,
    kind: str,
    reasons: Mapping[int, tuple[str, int | None]],
    now: int,
) -> None:
    """Records incident id -> (reason, until when in ms; None if it is never sent), each once."""
    if not reasons:
        return
    written = connection.execute(
        insert_unless_there(connection, suppression)
        .on_conflict_do_nothing()
        .returning(suppression.c.id),
        [
            {
                "incident_id": number,
                "channel": channel,
                "kind": kind,
                "at": now,
                "reason": reason[:300],
                "until": until,
            }
            for number, (reason, until) in reasons.items()
        ],
    )
    tally.add(connection, "suppressions", {(channel, kind): len(written.all())})
