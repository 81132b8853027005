"""All that holds a message back: silences, maintenance, and a sensor that is flapping."""

from collections.abc import Mapping

from sqlalchemy import Connection

from monitor.incidents import flapping, muting
from monitor.model import Held, Member
from monitor.outbox.candidates import Hold


def holding(rule: flapping.FlappingRule) -> Hold:
    """What is asked of each incident when a message is frozen; the latest end counts."""

    def held(
        connection: Connection, members: Mapping[int, Member], kind: str, now: int
    ) -> Mapping[int, Held]:
        found = muting.held(connection, members, kind, now)
        if kind == "down":
            for number, each in flapping.held(members, rule, now).items():
                found[number] = max(each, found.get(number, each))
        return found

    return held
