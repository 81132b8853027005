"""What the design promises, stated anew: from what sensors and doors did, never from the code."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from monitor.model import MINUTE, SECOND
from tests.stateful.doors import Door, Gap, Try
from tests.stateful.rows import Incident, Rows
from tests.stateful.sensors import Sensor

FAREWELL_GRACE = 2 * MINUTE
PRESUMED_AFTER = 5
FLAPPING_OUTAGES = 3
_LONGEST_STEP = 15 * SECOND  # what one sweep adds to a door's standing still


class Judge:
    """Watches one example and raises AssertionError at the first promise that is broken."""

    def __init__(
        self,
        rows: Rows,
        sensors: Mapping[int, Sensor],
        doors: Collection[Door],
        lost_after: int,
        flapping_window: Callable[[int], int],
        figures: Counter[str],
    ) -> None:
        self._rows, self._sensors, self._doors = rows, sensors, doors
        self._lost_after, self._flapping_window = lost_after, flapping_window
        self._figures = figures
        self.incidents: dict[int, Incident] = {}
        self._listened: list[tuple[int, int]] = []
        self._stalled: Counter[Gap] = Counter()
        self._closed: set[Door] = set()
        self._swept_at = 0

    # --- After each sweep --------------------------------------------------------------------

    def after_sweep(self, now: int) -> None:
        """Look at what it wrote, and at what it should have."""
        horizon, swept_at = self._rows.progress()
        assert horizon <= now
        if swept_at == self._swept_at:
            return
        earlier, self._swept_at = self._swept_at, swept_at
        self._note_stalls(min(swept_at - earlier, _LONGEST_STEP) if earlier else 0)
        self._note_closed(horizon)
        self._figures["sweeps"] += 1
        before, self.incidents = self.incidents, self._rows.incidents()
        for incident in self.incidents.values():
            known = before.get(incident.id)
            if known is None:
                self._may_open(incident, horizon, now)
                self._flaps(incident)
            elif known.closed_at is not None:
                assert incident == known, f"{known} is closed and changed to {incident}"
            elif incident.closed_at is not None:
                self._may_close(incident, horizon)
        open_now = Counter(row.mac for row in self.incidents.values() if row.closed_at is None)
        assert set(open_now.values()) <= {1}, "two incidents of one sensor are open"
        if self._listened and self._listened[-1][1] == swept_at == now:
            self._outages_are_open(self._listened[-1][0], now, earlier)

    def _may_open(self, row: Incident, horizon: int, now: int) -> None:
        """The first clause is proof: a sensor that lives never gets such an incident."""
        sensor = self._sensors[row.mac]
        assert sensor.known_live(now), f"{row}: only known from history"
        assert not sensor.paused, f"{row} is paused"
        tries = [t for t in sensor.tries if horizon - row.threshold < t.time <= horizon]
        heard, lived = [t for t in tries if t.stored_at], [t for t in tries if t.live]
        assert not heard, f"{row}: heard at {heard[-1].time}, horizon {horizon}"
        excused = all(self._excused(t) for t in lived)
        if row.proven:
            assert excused, f"{row} lives: {lived[-1]}, horizon {horizon}"
            self._figures["outages, proven"] += 1
        else:
            whose = "" if excused else " of the living"
            self._figures[f"outages{whose}, presumed"] += 1
        if lived and excused:
            self._figures["outages at a door that was written off"] += 1

    def _flaps(self, row: Incident) -> None:
        """From the third outage within the window on."""
        window = self._flapping_window(row.threshold)
        recent = [
            other
            for other in self.incidents.values()
            if other.mac == row.mac and row.opened_at - window < other.opened_at <= row.opened_at
        ]
        assert (row.flapping_since is not None) == (len(recent) >= FLAPPING_OUTAGES), recent

    def _excused(self, attempt: Try) -> bool:
        """The design's known limit: a door that nobody hears of for long is gone on without."""
        return len(self._doors) > 1 and all(
            any(
                self._gone(gap) or self._catches_up(door, gap) for gap in door.gaps_at(attempt.time)
            )
            for door in attempt.doors
        )

    def _catches_up(self, door: Door, gap: Gap) -> bool:
        """Gone on without, it tells the store little by little of what it received meanwhile."""
        return gap.stop is None and door in self._closed

    def _note_closed(self, horizon: int) -> None:
        """Gone on without, a door counts again once all is stored up to the horizon."""
        for door in self._doors:
            if door.gap is not None and self._gone(door.gap):
                self._closed.add(door)
            elif door.reached >= horizon:
                self._closed.discard(door)

    def _gone(self, gap: Gap) -> bool:
        if self._stalled[gap] < self._limit(gap) - _LONGEST_STEP:
            return False
        # Whoever said farewell and is back soon enough was only restarted.
        return not gap.farewell or gap.stop is None or gap.stop - gap.start > self._lost_after

    def _limit(self, gap: Gap) -> int:
        return FAREWELL_GRACE if gap.farewell else self._lost_after

    def _may_close(self, row: Incident, horizon: int) -> None:
        """Only for a heartbeat that is not stale itself, or by somebody's decision."""
        sensor, seen = self._sensors[row.mac], self._sensors[row.mac].heard_at
        self._figures[f"closed: {row.closed_reason}"] += 1
        if row.closed_reason == "paused":
            assert sensor.paused, f"{row} is not paused"
            return
        silent_for = self._listened_between(seen, horizon)
        assert silent_for <= sensor.threshold, f"{row} closed though silent for {silent_for} ms"
        if row.closed_reason == "recovered":
            assert seen > row.last_seen, f"{row} recovered without a heartbeat"
        else:
            assert sensor.threshold > row.threshold, f"{row} closed for no reason"

    def _outages_are_open(self, since: int, now: int, earlier: int) -> None:
        """`since`: listened without a break from there to now, and judged now and `earlier`."""
        silent = {row.mac: row for row in self.incidents.values() if row.closed_at is None}
        for sensor in self._sensors.values():
            # In the sweep that hears of it first it becomes known, in the next it is judged.
            if sensor.paused or not sensor.known_live(earlier):
                continue
            seen, row = sensor.heard_at, silent.get(sensor.mac)
            proven = now - max(seen, since) > sensor.threshold
            presumed = self._listened_between(seen, now) > PRESUMED_AFTER * sensor.threshold
            if proven or presumed:
                assert row, f"{sensor} is silent since {seen}, listened since {since}, now {now}"
            elif row and now - seen <= sensor.threshold:
                assert seen <= row.last_seen, f"{row} is still open, heard at {seen}"

    # --- What was listened to ----------------------------------------------------------------

    def time_passed(self, began: int, now: int) -> None:
        """All doors listened and told so, those not counted that are gone for good."""
        there = [door for door in self._doors if not self._surely_gone(door)]
        if not there or any(door.gap or not door.listened_since(began) for door in there):
            return
        if self._listened and self._listened[-1][1] == began:
            began = self._listened.pop()[0]
        self._listened.append((began, now))

    def _surely_gone(self, door: Door) -> bool:
        gap = door.gap
        return gap is not None and self._stalled[gap] >= self._limit(gap) + 2 * _LONGEST_STEP

    def _note_stalls(self, passed: int) -> None:
        for door in self._doors:
            for gap in door.gaps:
                if gap.stop is None:
                    self._stalled[gap] += passed
                else:
                    self._unlisten(gap)

    def _unlisten(self, gap: Gap) -> None:
        """A door is back: what was gone on without it may be blind in hindsight."""
        assert gap.stop is not None
        self._listened = [
            piece
            for start, stop in self._listened
            for piece in ((start, min(stop, gap.start)), (max(start, gap.stop), stop))
            if piece[0] < piece[1]
        ]

    def _listened_between(self, start: int, stop: int) -> int:
        return sum(max(0, min(stop, b) - max(start, a)) for a, b in self._listened)
