"""Whether heartbeats of this host reach the store, and sensors are judged: for `/readyz`."""

from pathlib import Path

import msgspec
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.ingest import status
from monitor.model import SECOND, format_time
from monitor.state import horizon
from monitor.state.database import reading
from monitor.web.judging import Judging


class Readiness:
    """A callable that returns the reasons why this host is not ready; none if it is."""

    def __init__(
        self, shipper_status: Path, engine: Engine, clock: Clock, judging: Judging
    ) -> None:
        self._shipper_status, self._engine, self._clock = shipper_status, engine, clock
        self._judging = judging

    def __call__(self) -> list[str]:
        return [reason for reason in (self._shipper(), self._state()) if reason]

    def _shipper(self) -> str | None:
        try:
            found = status.read(self._shipper_status)
        except FileNotFoundError:
            return "The shipper has not started."
        except (OSError, msgspec.DecodeError):
            return "The shipper's status can't be read."
        age = self._clock.now() - found.at
        if age > status.LONGEST_AGE:
            return f"The shipper has not reported for {age // SECOND} s."
        return None if found.ready else found.reason or "The shipper is not ready."

    def _state(self) -> str | None:
        try:
            with reading(self._engine) as connection:
                progress = horizon.progress(connection)
        except StateUnavailable:
            return "The state database can't be read."
        found = self._judging(progress)
        if found is None:
            return None
        return f"Sensors have not been judged since {format_time(found.since)}. {found.reason}"
