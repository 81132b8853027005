"""What holds messages: silences, maintenance and flapping."""

from collections.abc import Mapping

from sqlalchemy import Connection

from monitor.incidents import flapping, muting
from monitor.model import Held, Member
from monitor.outbox.candidates import Hold


def holding(rule: flapping.FlappingRule) -> Hold:
    """The check of incidents when a message is frozen. If several hold one, the latest counts."""

    def held(
        connection: Connection, members: Mapping[int, Member], kind: str, now: int
    ) -> Mapping[int, Held]:
        found = muting.held(connection, members, kind, now)
        if kind == "down":
            for incident, hold in flapping.held(members, rule, now).items():
                found[incident] = max(hold, found.get(incident, hold))
        return found

    return held
