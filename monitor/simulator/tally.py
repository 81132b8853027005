"""Counts the results of sent heartbeats, and summarizes them."""

import threading
from collections import Counter


class Spread:
    """A histogram of durations, rounded to two significant digits: it needs little memory."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def add(self, seconds: float) -> None:
        """Adds one duration."""
        self._counts[float(f"{seconds:.2g}")] += 1

    def quantile(self, share: float) -> float:
        """The quantile (s) of `share`, such as 0.99; 0 without durations."""
        left = share * self._counts.total()
        for seconds in sorted(self._counts):
            left -= self._counts[seconds]
            if left <= 0:
                return seconds
        return max(self._counts, default=0.0)


class Tally:
    """Counts by status and by kind of error. Thread-safe."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.unsent = 0
        self._bodies: dict[int, str] = {}
        self._latency, self._lateness = Spread(), Spread()
        self._lock = threading.Lock()

    def replied(self, status: int, body: bytes, latency: float, lateness: float) -> None:
        """Adds a reply; durations in seconds. Keeps the first body of each status except 2xx."""
        with self._lock:
            self.statuses[status] += 1
            self._latency.add(latency)
            self._lateness.add(lateness)
            if not 200 <= status < 300:
                self._bodies.setdefault(status, body.decode("utf-8", "replace")[:200])

    def failed(self, kind: str, lateness: float) -> None:
        """Adds a heartbeat without a valid reply; `kind` describes the error."""
        with self._lock:
            self.errors[kind] += 1
            self._lateness.add(lateness)

    def skipped(self) -> None:
        """Adds a heartbeat that was due but not sent, because the run was stopped."""
        with self._lock:
            self.unsent += 1

    @property
    def problem(self) -> str:
        """Why nothing is acknowledged, in one line. Empty while there is no such reason."""
        with self._lock:
            if any(200 <= status < 300 for status in self.statuses):
                return ""
            if self._bodies:
                status, body = next(iter(self._bodies.items()))
                return f"status {status} {body}".rstrip()
            return next(iter(self.errors), "")

    @property
    def acknowledged(self) -> int:
        """Number of heartbeats with a 2xx reply."""
        with self._lock:
            return sum(n for status, n in self.statuses.items() if 200 <= status < 300)

    @property
    def sent(self) -> int:
        """Number of heartbeats that were sent and answered, or failed."""
        with self._lock:
            return self.statuses.total() + self.errors.total()

    def summary(self, seconds: float) -> str:
        """A summary, several lines, of a run that took `seconds`."""
        sent = self.sent
        lines = [
            f"{sent:,} heartbeats in {seconds:.1f} s ({sent / max(seconds, 1e-9):,.0f}/s), "
            f"{self.acknowledged:,} acknowledged"
        ]
        for status, count in sorted(self.statuses.items()):
            lines.append(
                f"  {count:>10,}  status {status}  {self._bodies.get(status, '')}".rstrip()
            )
        for kind, count in self.errors.most_common():
            lines.append(f"  {count:>10,}  {kind}")
        if self.unsent:
            lines.append(f"  {self.unsent:>10,}  due, but not sent")
        for name, spread in (("latency", self._latency), ("lateness", self._lateness)):
            p50, p99 = (1000 * spread.quantile(share) for share in (0.5, 0.99))
            if p99:
                lines.append(f"  {name}: half within {p50:g} ms, 99 % within {p99:g} ms")
        return "\n".join(lines)
