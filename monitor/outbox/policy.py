"""When a message that could not be sent is tried again."""

from monitor.model import DAY, HOUR, MINUTE, SECOND

DELAYS = (5 * SECOND, 15 * SECOND, 1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 1 * HOUR)
"""After the first, second, … attempt; the last one repeats."""

GIVE_UP_AFTER = 3 * DAY
"""How long a frozen message is tried."""

UNSERVED_AFTER = 5 * MINUTE
"""When a channel that no notifier serves is gone: longer than it takes to restart them all."""

_JITTER = 0.2
_LONGEST_WISH = 1 * DAY


def next_attempt(
    attempts: int, frozen_at: int, now: int, chance: float, retry_after: int | None = None
) -> int | None:
    """The moment (ms) to try again after `attempts` >= 1 of them, or None: give up.

    `chance` in [0, 1) spreads what failed together over a fifth more than the delay.
    `retry_after` is the receiver's own wish in ms, kept up to a day. The last attempt falls on
    the end of GIVE_UP_AFTER.
    """
    end = frozen_at + GIVE_UP_AFTER
    if now >= end:
        return None
    delay = DELAYS[min(attempts, len(DELAYS)) - 1]
    delay = max(delay, min(retry_after or 0, _LONGEST_WISH))
    return min(now + round(delay * (1 + _JITTER * chance)), end)
