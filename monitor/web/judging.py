"""Whether judging is behind, as a web process can see: for `/readyz` and `/metrics`."""

from monitor.clock import Clock
from monitor.staleness.notices import Behind, behind
from monitor.state.horizon import Progress


class Judging:
    """Create it when the process starts: earlier time without judging does not count, because
    schedulers may have started only now."""

    def __init__(self, clock: Clock, behind_after: int) -> None:
        """`behind_after`: ms without judging after which a notice is sent."""
        self._clock, self._behind_after = clock, behind_after
        self._started_at = clock.now()

    def __call__(self, progress: Progress) -> Behind | None:
        """Since when judging is behind, and why. After a notice was sent it is behind at once."""
        reached = progress.behind_since or progress.horizon or progress.swept_at
        unmoved_since = progress.behind_since or max(reached, self._started_at)
        now = self._clock.now()
        return behind(reached, progress.hindrance, unmoved_since, now, self._behind_after)
