"""What the pages of silences and of maintenance share: the tabs, and some wording."""

from datetime import tzinfo
from typing import get_args

from flask import request

from monitor.outbox.wording import number
from monitor.services.silences import Phase

PHASES: tuple[Phase, ...] = get_args(Phase)


def selected() -> Phase:
    """The phase whose tab is open."""
    return next((phase for phase in PHASES if phase == request.args.get("state")), "current")


def zone_name(zone: tzinfo) -> str:
    """The name of a time zone, like Europe/Berlin."""
    return getattr(zone, "key", None) or str(zone)


def coverage(count: int) -> str:
    """A sentence with the number of sensors that a new one covers."""
    if count == 0:
        return "It matches no registered sensor yet."
    return f"It matches {number(count)} sensor{'' if count == 1 else 's'} now."
