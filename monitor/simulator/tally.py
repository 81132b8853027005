"""What became of the heartbeats that were sent, and the summary of it."""

import threading
from collections import Counter


class Spread:
    """Durations to two significant digits: percentiles in bounded memory, however long the run."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[float(f"{seconds:.2g}")] += 1

    def quantile(self, share: float) -> float:
        """The least duration in seconds that `share` of all do not exceed; 0 if there are none."""
        left = share * self._counts.total()
        for seconds in sorted(self._counts):
            left -= self._counts[seconds]
            if left <= 0:
                return seconds
        return max(self._counts, default=0.0)


class Tally:
    """Counts by status and by kind of error. Any thread may add."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.unsent = 0
        self._said: dict[int, str] = {}
        self._latency, self._lateness = Spread(), Spread()
        self._lock = threading.Lock()

    def replied(self, status: int, body: bytes, latency: float, lateness: float) -> None:
        """One reply; durations in seconds. The first body of each refusal is kept."""
        with self._lock:
            self.statuses[status] += 1
            self._latency.add(latency)
            self._lateness.add(lateness)
            if not 200 <= status < 300:
                self._said.setdefault(status, body.decode("utf-8", "replace")[:200])

    def failed(self, kind: str, lateness: float) -> None:
        """One heartbeat without a usable reply, for a reason in words."""
        with self._lock:
            self.errors[kind] += 1
            self._lateness.add(lateness)

    def left(self) -> None:
        """One heartbeat that was due but will not be sent, since the run was ended."""
        with self._lock:
            self.unsent += 1

    @property
    def acknowledged(self) -> int:
        """Heartbeats that got a 2xx."""
        with self._lock:
            return sum(n for status, n in self.statuses.items() if 200 <= status < 300)

    @property
    def sent(self) -> int:
        """All that were sent and have ended."""
        with self._lock:
            return self.statuses.total() + self.errors.total()

    def summary(self, seconds: float) -> str:
        """Lines of text about a run that took `seconds`."""
        sent = self.sent
        lines = [
            f"{sent:,} heartbeats in {seconds:.1f} s ({sent / max(seconds, 1e-9):,.0f}/s), "
            f"{self.acknowledged:,} acknowledged"
        ]
        for status, count in sorted(self.statuses.items()):
            lines.append(f"  {count:>10,}  status {status}  {self._said.get(status, '')}".rstrip())
        for kind, count in self.errors.most_common():
            lines.append(f"  {count:>10,}  {kind}")
        if self.unsent:
            lines.append(f"  {self.unsent:>10,}  due, but not sent")
        for name, spread in (("latency", self._latency), ("lateness", self._lateness)):
            p50, p99 = (1000 * spread.quantile(share) for share in (0.5, 0.99))
            if p99:
                lines.append(f"  {name}: half within {p50:g} ms, 99 % within {p99:g} ms")
        return "\n".join(lines)
