"""Checks of incidents against what simulated sensors and hosts did."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from monitor.model import MINUTE, SECOND
from tests.stateful.hosts import Attempt, Gap, IngestHost
from tests.stateful.rows import Incident, Rows
from tests.stateful.sensors import Sensor

STOP_GRACE = 2 * MINUTE
PRESUMED_AFTER = 5
FLAPPING_OUTAGES = 3
_LONGEST_STEP = 15 * SECOND  # what one sweep adds to the stall of a host


class IncidentChecks:
    """Checks the incidents of one example. Methods raise AssertionError on a violation."""

    def __init__(
        self,
        rows: Rows,
        sensors: Mapping[int, Sensor],
        hosts: Collection[IngestHost],
        lost_after: int,
        flapping_window: Callable[[int], int],
        figures: Counter[str],
    ) -> None:
        self._rows, self._sensors, self._hosts = rows, sensors, hosts
        self._lost_after, self._flapping_window = lost_after, flapping_window
        self._figures = figures
        self.incidents: dict[int, Incident] = {}
        self._observed: list[tuple[int, int]] = []
        self._stalled: Counter[Gap] = Counter()
        self._dropped: set[IngestHost] = set()
        self._swept_at = 0

    # --- After each sweep --------------------------------------------------------------------

    def after_sweep(self, now: int) -> None:
        """Check what a sweep wrote, and what it should have written."""
        horizon, swept_at = self._rows.progress()
        assert horizon <= now
        if swept_at == self._swept_at:
            return
        earlier, self._swept_at = self._swept_at, swept_at
        self._note_stalls(min(swept_at - earlier, _LONGEST_STEP) if earlier else 0)
        self._note_dropped(horizon)
        self._figures["sweeps"] += 1
        before, self.incidents = self.incidents, self._rows.incidents()
        for incident in self.incidents.values():
            known = before.get(incident.id)
            if known is None:
                self._check_opening(incident, horizon, now)
                self._check_flapping(incident)
            elif known.closed_at is not None:
                assert incident == known, f"{known} is closed and changed to {incident}"
            elif incident.closed_at is not None:
                self._check_closing(incident, horizon)
        open_now = Counter(row.mac for row in self.incidents.values() if row.closed_at is None)
        assert set(open_now.values()) <= {1}, "two incidents of one sensor are open"
        if self._observed and self._observed[-1][1] == swept_at == now:
            self._check_outages_open(self._observed[-1][0], now, earlier)

    def _check_opening(self, row: Incident, horizon: int, now: int) -> None:
        """A proven incident must not be of a live sensor."""
        sensor = self._sensors[row.mac]
        assert sensor.has_live_heartbeat(now), f"{row}: only known from history"
        assert not sensor.paused, f"{row} is paused"
        since_resumed = horizon - sensor.monitored_since
        assert since_resumed > row.threshold, f"{row}: resumed {since_resumed} ms ago"
        attempts = [t for t in sensor.attempts if horizon - row.threshold < t.time <= horizon]
        stored, lived = [t for t in attempts if t.stored_at], [t for t in attempts if t.live]
        assert not stored, f"{row}: stored at {stored[-1].time}, horizon {horizon}"
        excused = all(self._is_excused(t) for t in lived)
        if row.proven:
            assert excused, f"{row} is of a live sensor: {lived[-1]}, horizon {horizon}"
            self._figures["outages, proven"] += 1
        else:
            whose = "" if excused else " of live sensors"
            self._figures[f"outages{whose}, presumed"] += 1
        if lived and excused:
            self._figures["outages at a dropped host"] += 1

    def _check_flapping(self, row: Incident) -> None:
        """An incident is flapping from the third outage within the window."""
        window = self._flapping_window(row.threshold)
        recent = [
            other
            for other in self.incidents.values()
            if other.mac == row.mac and row.opened_at - window < other.opened_at <= row.opened_at
        ]
        assert (row.flapping_since is not None) == (len(recent) >= FLAPPING_OUTAGES), recent

    def _is_excused(self, attempt: Attempt) -> bool:
        """Whether the heartbeat reached only hosts that judging has dropped after a long stall."""
        return len(self._hosts) > 1 and all(
            any(
                self._is_dropped(gap) or self._is_catching_up(host, gap)
                for gap in host.gaps_at(attempt.time)
            )
            for host in attempt.hosts
        )

    def _is_catching_up(self, host: IngestHost, gap: Gap) -> bool:
        """Whether a dropped host still ships what it received in the meantime."""
        return gap.stop is None and host in self._dropped

    def _note_dropped(self, horizon: int) -> None:
        """A dropped host counts again once its coverage reaches the horizon."""
        for host in self._hosts:
            if host.gap is not None and self._is_dropped(host.gap):
                self._dropped.add(host)
            elif host.reached >= horizon:
                self._dropped.discard(host)

    def _is_dropped(self, gap: Gap) -> bool:
        if self._stalled[gap] < self._limit(gap) - _LONGEST_STEP:
            return False
        # A host that stopped cleanly and is back soon was only restarted.
        return not gap.clean_stop or gap.stop is None or gap.stop - gap.start > self._lost_after

    def _limit(self, gap: Gap) -> int:
        return STOP_GRACE if gap.clean_stop else self._lost_after

    def _check_closing(self, row: Incident, horizon: int) -> None:
        """An incident closes for a heartbeat that is recent enough, or by a user's decision."""
        sensor, seen = self._sensors[row.mac], self._sensors[row.mac].stored_until
        self._figures[f"closed: {row.closed_reason}"] += 1
        if row.closed_reason == "paused":
            was_paused = sensor.paused or sensor.monitored_since > row.opened_at
            assert was_paused, f"{row} was not paused"
            return
        silent_for = self._observed_between(seen, horizon)
        assert silent_for <= sensor.threshold, f"{row} closed though silent for {silent_for} ms"
        if row.closed_reason == "recovered":
            assert seen > row.last_seen, f"{row} recovered without a heartbeat"
        else:
            assert sensor.threshold > row.threshold, f"{row} closed for no reason"

    def _check_outages_open(self, since: int, now: int, earlier: int) -> None:
        """Every outage has an open incident. Time is observed from `since` to now without a break,
        and there were sweeps at `earlier` and now."""
        silent = {row.mac: row for row in self.incidents.values() if row.closed_at is None}
        for sensor in self._sensors.values():
            # The first sweep registers a sensor, the next one judges it.
            if sensor.paused or not sensor.has_live_heartbeat(earlier):
                continue
            seen, row = sensor.stored_until, silent.get(sensor.mac)
            silent_since = max(seen, sensor.monitored_since)
            proven = now - max(silent_since, since) > sensor.threshold
            observed = self._observed_between(silent_since, now)
            presumed = observed > PRESUMED_AFTER * sensor.threshold
            if proven or presumed:
                assert row, f"{sensor} is silent since {seen}, listened since {since}, now {now}"
            elif row and now - seen <= sensor.threshold:
                assert seen <= row.last_seen, f"{row} is still open, stored at {seen}"

    # --- Observed time -----------------------------------------------------------------------

    def time_passed(self, began: int, now: int) -> None:
        """Add the time as observed if every host, apart from dropped ones, has coverage of it."""
        there = [host for host in self._hosts if not self._is_certainly_dropped(host)]
        if not there or any(host.gap or not host.observed_since(began) for host in there):
            return
        if self._observed and self._observed[-1][1] == began:
            began = self._observed.pop()[0]
        self._observed.append((began, now))

    def _is_certainly_dropped(self, host: IngestHost) -> bool:
        gap = host.gap
        return gap is not None and self._stalled[gap] >= self._limit(gap) + 2 * _LONGEST_STEP

    def _note_stalls(self, passed: int) -> None:
        for host in self._hosts:
            for gap in host.gaps:
                if gap.stop is None:
                    self._stalled[gap] += passed
                else:
                    self._remove_observed(gap)

    def _remove_observed(self, gap: Gap) -> None:
        """A host is back: time without it may be blind in hindsight."""
        assert gap.stop is not None
        self._observed = [
            piece
            for start, stop in self._observed
            for piece in ((start, min(stop, gap.start)), (max(start, gap.stop), stop))
            if piece[0] < piece[1]
        ]

    def _observed_between(self, start: int, stop: int) -> int:
        return sum(max(0, min(stop, b) - max(start, a)) for a, b in self._observed)
