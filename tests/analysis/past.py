"""Writes the history of one sensor to a store and a state."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, update

from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.model import MINUTE, Heartbeat
from monitor.state import horizon, sensors, silences
from monitor.state.database import writing
from monitor.state.tables import blind_window, maintenance, pause, sensor, service
from monitor.store.interface import Store
from tests.conftest import RETENTION
from tests.store.beats import NOW

MAC = 0x02_00_00_00_00_0A
T = 10 * MINUTE


class At(Clock):
    """A clock that a test sets."""

    def __init__(self, now: int = NOW) -> None:
        super().__init__()
        self.moment = now

    def now(self) -> int:
        return self.moment


class Past:
    """The history of one registered sensor, judged up to NOW."""

    def __init__(self, store: Store, state: Engine) -> None:
        self.store, self.state, self.clock = store, state, At()
        with writing(state) as connection:
            sensors.configure(connection, MAC, 1, name="Boiler", site="Hall", live=True)
        self.judged(NOW)

    def history(self) -> History:
        """A History with empty caches."""
        return History(self.store, self.state, self.clock, T, RETENTION)

    def judged(self, moment: int) -> None:
        with writing(self.state) as connection:
            connection.execute(update(service).values(horizon=moment))

    def beats(self, moments: Iterable[int], live: bool = True) -> None:
        self.store.append([Heartbeat(MAC, at, at, live) for at in moments])

    def configure(self, **values: Any) -> None:
        with writing(self.state) as connection:
            connection.execute(update(sensor).where(sensor.c.mac == MAC).values(**values))

    def blind(self, *windows: tuple[int, int]) -> None:
        with writing(self.state) as connection:
            horizon.record_blind_windows(connection, windows)

    def maintain(self, start: int, stop: int, matchers: Iterable[str] = ("site=Hall",)) -> None:
        with writing(self.state) as connection:
            silences.add_maintenance(
                connection,
                "works",
                list(matchers),
                "UTC",
                _local(start),
                _local(stop),
                None,
                "bo",
                NOW,
            )

    def pause(self, start: int, stop: int | None) -> None:
        with writing(self.state) as connection:
            connection.execute(insert(pause).values(mac=MAC, start=start, stop=stop))

    def forget(self) -> None:
        self.store.forget(MAC)
        with writing(self.state) as connection:
            for table in (blind_window, maintenance, pause):
                connection.execute(delete(table))


def _local(moment: int) -> str:
    """A moment in ms as the text of a datetime-local field in UTC."""
    return datetime.fromtimestamp(moment / 1_000, UTC).strftime("%Y-%m-%dT%H:%M")
