"""Sentences about what needs attention, for the grid and other pages."""

from collections.abc import Mapping, Sequence

from monitor.outbox.wording import counted
from monitor.refusal import REASONS


def refused(counts: Mapping[str, int]) -> Sequence[str]:
    """`counts`: reason -> heartbeats refused in the last minute."""
    return [
        f"{counted(number, 'heartbeat')} refused ({REASONS[reason].status}) in the last minute: "
        f"{REASONS[reason].text}."
        for reason, number in sorted(counts.items(), key=lambda item: -item[1])
        if reason in REASONS
    ]
