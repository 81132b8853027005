"""Writes the history shown in the pictures, as the service would."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Engine, update

from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat
from monitor.state import sensors, silences
from monitor.state.database import writing
from monitor.state.tables import incident, service
from monitor.store.interface import Store
from tests.cases import Cases
from tests.screenshots.fleet import (
    ALONE,
    NEVER_HEARD,
    NEVER_LIVE,
    PAUSED,
    SHOWN,
    SILENCED,
    Sensor,
    fleet,
)

WATCHED = "Maria Lindqvist"
"""The user who acknowledges, and views the pages."""

_THRESHOLD = 10 * MINUTE
_OUT_FOR = 14 * MINUTE
_SWITCHED_OFF = (16 * HOUR, 35 * MINUTE)
"""Silences of the shown sensor within maintenance: how long ago, and how long."""
_OUTAGES = ((5 * HOUR, 41 * MINUTE), (74 * HOUR, 96 * MINUTE), (19 * DAY, 3 * HOUR))
"""The same, without maintenance."""


def fill(store: Store, engine: Engine, now: int) -> int:
    """Write a day of all sensors and a month of the one that is shown; the id of the incident
    in the picture."""
    whole, chance = fleet(), random.Random(7)
    for sensor in whole:
        if sensor.name != NEVER_HEARD:
            store.append(list(_heartbeats(sensor, now, chance)))
    by_name = {sensor.name: sensor for sensor in whole}
    _register(engine, whole, now)
    _plan(engine, now)
    _past_outages(engine, by_name[SHOWN], now)
    _alone(engine, by_name, now)
    shown = _switch_out(engine, [sensor for sensor in whole if sensor.is_out], now)
    with writing(engine) as connection:
        connection.execute(update(service).values(horizon=now, swept_at=now))
    return shown


def _heartbeats(sensor: Sensor, now: int, chance: random.Random) -> Iterator[Heartbeat]:
    """One heartbeat a minute for a day; for the shown sensor, a month with metrics."""
    shown = sensor.name == SHOWN
    start, stop, silent = now - (30 * DAY if shown else DAY), now, []
    if shown:
        silent = [(now - ago, now - ago + length) for ago, length in (_SWITCHED_OFF, *_OUTAGES)]
    elif sensor.is_out:
        stop = now - _OUT_FOR - chance.randrange(20 * SECOND)
    elif sensor.name == NEVER_LIVE:
        stop = now - 2 * HOUR
    elif sensor.name in ALONE:
        stop = now - ALONE[sensor.name]
    # Some radios lose more heartbeats than others, and more by day than by night.
    lost, worst = chance.choice((0.0, 0.0, 0.0, 0.1, 0.35)), chance.random()
    at = start + chance.randrange(MINUTE)
    while at < stop:
        if not any(begin < at < end for begin, end in silent) and (
            chance.random() >= lost * (1 + math.sin(math.tau * (at / DAY - worst)))
        ):
            metrics = _metrics(at, now, chance) if shown else None
            yield Heartbeat(sensor.mac, at, at, sensor.name != NEVER_LIVE, metrics)
        at += MINUTE + chance.randrange(-2 * SECOND, 2 * SECOND)


def _metrics(at: int, now: int, chance: random.Random) -> dict[str, float]:
    day = math.sin(math.tau * (at % DAY) / DAY - 2.3)
    return {
        "battery": round(3.62 - 0.3 * (at - now + 30 * DAY) / (30 * DAY) + 0.02 * day, 3),
        "temperature": round(11 + 6 * day + chance.uniform(-0.6, 0.6), 1),
    }


def _register(engine: Engine, whole: list[Sensor], now: int) -> None:
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        rows = [(one.mac, now - 30 * DAY, one.name != NEVER_LIVE) for one in whole]
        sensors.register(connection, rows, version)
        for sensor in whole:
            labels = {"gateway": f"{sensor.site[:1]}{1 + sensor.mac % 3}"}
            if sensor.name == SHOWN:
                labels["severity"] = "critical"
            given = {"name": sensor.name, "site": sensor.site, "labels": labels}
            paused = sensor.name == PAUSED
            sensors.configure(connection, sensor.mac, version, paused=paused, **given)


def _plan(engine: Engine, now: int) -> None:
    began = now - _SWITCHED_OFF[0] - 12 * MINUTE
    start, stop = (
        datetime.fromtimestamp(at // 1_000, UTC).strftime("%Y-%m-%dT%H:%M")
        for at in (began, began + HOUR)
    )
    once = ("UTC", start, stop, None)
    with writing(engine) as connection:
        silences.add_maintenance(
            connection, "Crane inspection", ["site=Harbour"], *once, WATCHED, began
        )
        silences.add_silence(
            connection,
            [f"name={SILENCED}"],
            now - 40 * MINUTE,
            now + 3 * HOUR,
            "door seal is being replaced",
            "Jonas Weber",
            now - 40 * MINUTE,
        )


def _past_outages(engine: Engine, sensor: Sensor, now: int) -> None:
    for ago, length in reversed(_OUTAGES):
        began = now - ago
        opened = began + _THRESHOLD + 2 * SECOND
        ended = began + length
        cases = Cases(engine, opened)
        group = cases.group(f"{sensor.name} {opened}")
        over = {"closed_at": ended + SECOND, "closed_reason": "recovered", "recovered_at": ended}
        number = cases.incident(sensor.mac, group, last_seen=began, **over)
        for kind, at, subject in (
            ("down", opened + 31 * SECOND, f"{sensor.name} at {sensor.site} silent"),
            ("recovered", ended + 33 * SECOND, f"{sensor.name} at {sensor.site} is back"),
        ):
            _sent(cases, group, [number], kind, at, subject, "on-call")


def _alone(engine: Engine, by_name: dict[str, Sensor], now: int) -> None:
    for name, ago in ALONE.items():
        sensor, began = by_name[name], now - ago
        opened = began + _THRESHOLD + SECOND
        cases = Cases(engine, opened)
        group = cases.group(f"{sensor.name} {opened}")
        number = cases.incident(sensor.mac, group, last_seen=began)
        if name == SILENCED:
            reason = "silenced by Jonas Weber: door seal is being replaced"
            cases.suppress(number, reason, channel="on-call", at=opened + SECOND)
        else:
            subject = f"{name} at {sensor.site} silent"
            _sent(cases, group, [number], "down", opened + 31 * SECOND, subject, "on-call")


def _switch_out(engine: Engine, out: list[Sensor], now: int) -> int:
    """The id of the first sensor's incident."""
    opened = now - _OUT_FOR + _THRESHOLD + 2 * SECOND
    cases = Cases(engine, opened)
    group = cases.group(f"site:{out[0].site}")
    numbers = [cases.incident(one.mac, group, last_seen=now - _OUT_FOR - 7 * SECOND) for one in out]
    subject = f"{len(out)} sensors at {out[0].site} silent"
    told = opened + 30 * SECOND
    failed = [(told, "retry", "503 from hooks.example.com")]
    _sent(cases, group, numbers, "down", told, subject, "facility", *failed)
    _sent(cases, group, numbers, "down", told, subject, "on-call")
    answered = told + 74 * SECOND
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        known = {"acknowledged_at": answered, "acknowledged_by": WATCHED, "version": version}
        connection.execute(update(incident).where(incident.c.id.in_(numbers)).values(**known))
    return numbers[0]


def _sent(
    cases: Cases,
    group: int,
    numbers: list[int],
    kind: str,
    at: int,
    subject: str,
    channel: str,
    *before: tuple[int, str, str],
) -> None:
    """Write a sent message, with a failed attempt first if `before` is given."""
    sent = at + (11 * SECOND if before else SECOND)
    cases.message(
        group,
        numbers,
        [*before, (sent, "sent", None)],
        kind=kind,
        channel=channel,
        state="sent",
        created_at=at - 30 * SECOND,
        frozen_at=at,
        finished_at=sent,
        body={"subject": subject},
    )
