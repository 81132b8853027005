"""What the pages of silences and of maintenance have in common."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import get_args

from flask import request

from monitor.incidents.planning import Phase
from monitor.incidents.silence import Unusable
from monitor.outbox.wording import number

PHASES: tuple[Phase, ...] = get_args(Phase)


def asked() -> Phase:
    """The one whose tab is open."""
    return next((phase for phase in PHASES if phase == request.args.get("state")), "current")


def sentence(error: Unusable, titles: Mapping[str, str]) -> str:
    """What is wrong, after the title that the field has on the page."""
    return f"{titles[error.field]}: {error}."


def clocks(zone: tzinfo) -> str:
    """The name of a zone, like Europe/Berlin."""
    return getattr(zone, "key", None) or str(zone)


def meant(count: int) -> str:
    """How many sensors a new one is about, in a sentence."""
    if count == 0:
        return "No sensor that is known fits it yet."
    return f"It covers {number(count)} sensor{'' if count == 1 else 's'} now."
