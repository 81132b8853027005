"""Whether sensors are judged, as a web process can tell: for `/readyz` and `/metrics`."""

from monitor.clock import Clock
from monitor.staleness.notices import Behind, behind
from monitor.state.horizon import Progress


class Judging:
    """Made when the process starts: a standstill before that is not held against schedulers that
    start with it."""

    def __init__(self, clock: Clock, behind_after: int) -> None:
        """`behind_after`: ms without a judgement after which people are notified."""
        self._clock, self._behind_after = clock, behind_after
        self._started_at = clock.now()

    def __call__(self, progress: Progress) -> Behind | None:
        """Since when judging is behind and why; what people were notified of counts at once."""
        reached = progress.behind_since or progress.horizon or progress.swept_at
        unmoved_since = progress.behind_since or max(reached, self._started_at)
        now = self._clock.now()
        return behind(reached, progress.hindrance, unmoved_since, now, self._behind_after)
