"""The time from the deadline of an outage to its incident, with the default sweep interval."""

import time
from pathlib import Path

from sqlalchemy import select

from monitor.model import SECOND, format_mac
from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from tests.bench.table import Row
from tests.service import Service
from tests.waiting import eventually

SENSORS, THRESHOLD, INTERVAL = 60, 8, 5
LONGEST = INTERVAL + 1.5
"""One interval, one second until coverage is reported, and one sweep."""


def rows(directory: Path, **environment: object) -> list[Row]:
    """Measure sensors that report once, spread over an interval, which is the reference."""
    url = f"sqlite:///{directory / 'data' / 'state.sqlite'}"
    with Service(directory, MONITOR_STALENESS_THRESHOLD=THRESHOLD, **environment) as service:
        service.ready()
        for number in range(SENSORS):
            service.beat(format_mac(0x020000000000 + number))
            time.sleep(INTERVAL / SENSORS)
        engine = open_state(url)

        def decided() -> list[float]:
            query = select(incident.c.opened_at - incident.c.last_seen)
            with reading(engine) as connection:
                return [row / SECOND - THRESHOLD for row in connection.scalars(query)]

        late = eventually(lambda: len(decided()) == SENSORS and decided(), THRESHOLD + 30)
    what = "decision after the deadline passed (all outages)"
    return [Row(what, "s", late, [INTERVAL], most=LONGEST)]
