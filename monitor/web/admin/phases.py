"""What the pages of silences and of maintenance have in common."""

from datetime import tzinfo
from typing import get_args

from flask import request

from monitor.outbox.wording import number
from monitor.services.silences import Phase

PHASES: tuple[Phase, ...] = get_args(Phase)


def asked() -> Phase:
    """The one whose tab is open."""
    return next((phase for phase in PHASES if phase == request.args.get("state")), "current")


def clocks(zone: tzinfo) -> str:
    """The name of a zone, like Europe/Berlin."""
    return getattr(zone, "key", None) or str(zone)


def coverage(count: int) -> str:
    """How many sensors a new one covers, in a sentence."""
    if count == 0:
        return "It covers no registered sensor yet."
    return f"It matches {number(count)} sensor{'' if count == 1 else 's'} now."
