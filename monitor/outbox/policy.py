"""When a message that could not be sent is tried again."""

from monitor.model import DAY, HOUR, MINUTE, SECOND

DELAYS = (5 * SECOND, 15 * SECOND, 1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 1 * HOUR)
"""Delays after the first, second, … attempt (ms). The last one repeats."""

GIVE_UP_AFTER = 3 * DAY
"""How long a frozen message is tried (ms)."""

UNSERVED_AFTER = 5 * MINUTE
"""After how long without a notifier that serves it a channel no longer exists (ms).

Longer than a restart of all notifiers takes."""

_JITTER = 0.2
_LONGEST_RETRY_AFTER = 1 * DAY


def next_attempt(
    attempts: int, frozen_at: int, now: int, chance: float, retry_after: int | None = None
) -> int | None:
    """When to try again after `attempts` (at least 1) attempts (ms). None: give up.

    `chance` in [0, 1) lengthens the delay by up to a fifth, so that messages that failed together
    are not all tried again together. `retry_after` is the delay that the receiver asked for (ms);
    it is limited to a day. The last attempt is at the end of GIVE_UP_AFTER.
    """
    end = frozen_at + GIVE_UP_AFTER
    if now >= end:
        return None
    delay = DELAYS[min(attempts, len(DELAYS)) - 1]
    delay = max(delay, min(retry_after or 0, _LONGEST_RETRY_AFTER))
    return min(now + round(delay * (1 + _JITTER * chance)), end)
