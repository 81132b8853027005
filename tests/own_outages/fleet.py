"""A fleet as a process of its own: `python -m tests.own_outages.fleet PLAN DIARY`.

Each sensor keeps its phase and interval and never waits for a server: a refused or lost heartbeat
is not repeated, the next one follows after the interval. Each line on standard input makes one more
wave of sensors die; the end of input ends the fleet, which then writes its diary.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tests.keepalive import Host

FIRST = 0x02_00_00_00_10_00


@dataclass(frozen=True)
class Sensor:
    """Reports to `url` every `interval` seconds, starting at `phase` seconds."""

    mac: int
    url: str
    interval: float
    phase: float
    dies: int
    """The wave in which it dies; 0: never."""


class Beat(NamedTuple):
    """One heartbeat: times of sending and answer (ms); `status` 0: lost."""

    sent: int
    answered: int
    status: int


Diary = Mapping[int, Sequence[Beat]]


def make_fleet(
    urls: Sequence[str], sensors: int, threshold: float, deaths: int, waves: int
) -> list[Sensor]:
    """Sensors with intervals of 0.5 to 0.95 of the threshold, which report to all hosts in turn.
    Those of each wave have short, long and medium intervals."""
    chance = random.Random(7)
    intervals = sorted(chance.uniform(0.5, 0.95) * threshold for _ in range(sensors))
    places = chance.sample(range(sensors), deaths * waves)
    doomed = {place: number % waves + 1 for number, place in enumerate(sorted(places))}
    return [
        Sensor(
            FIRST + n,
            urls[n % len(urls)],
            interval,
            phase=chance.uniform(0, interval),
            dies=doomed.get(n, 0),
        )
        for n, interval in enumerate(intervals)
    ]


class Fleet:
    """The fleet process."""

    def __init__(self, sensors: Sequence[Sensor], directory: Path) -> None:
        self.sensors = sensors
        self.dead: list[set[int]] = []
        """The sensors that died in each wave."""
        self._diary = directory / "diary.json"
        plan = directory / "plan.json"
        plan.write_text(json.dumps([asdict(sensor) for sensor in sensors]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.own_outages.fleet", str(plan), str(self._diary)],
            stdin=subprocess.PIPE,
        )

    def kill_next_wave(self) -> None:
        """Let the next wave of sensors die."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"die\n")
        self._process.stdin.flush()
        wave = len(self.dead) + 1
        self.dead.append({sensor.mac for sensor in self.sensors if sensor.dies == wave})

    def finish(self) -> Diary:
        """End the fleet; all heartbeats sent, in order."""
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0
        beats: Mapping[str, list[list[int]]] = json.loads(self._diary.read_text())
        return {int(mac): [Beat(*beat) for beat in sent] for mac, sent in beats.items()}

    def kill(self) -> None:
        """Kill the fleet, without a diary; does nothing if it has ended."""
        self._process.kill()
        self._process.communicate()


async def _live(sensor: Sensor, host: Host, waves: list[str], beats: list[Beat]) -> None:
    clock = asyncio.get_running_loop().time
    due = clock() + sensor.phase
    while True:
        await asyncio.sleep(due - clock())
        if 0 < sensor.dies <= len(waves):
            return
        sent = time.time_ns() // 1_000_000
        status = await host.beat(sensor.mac)
        beats.append(Beat(sent, time.time_ns() // 1_000_000, status))
        due += sensor.interval


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _run(sensors: Iterable[Sensor], diary: dict[int, list[Beat]]) -> None:
    timeout = min(sensor.interval for sensor in sensors) / 2
    hosts = {sensor.url: Host(sensor.url, timeout) for sensor in sensors}
    waves: list[str] = []
    with _tasks(
        _live(sensor, hosts[sensor.url], waves, diary[sensor.mac]) for sensor in sensors
    ) as lives:
        orders = await _lines()
        while line := await orders.readline():
            waves.append(line.decode())
        assert not [life for life in lives if life.done() and life.exception()]


@contextlib.contextmanager
def _tasks(coroutines: Iterable[object]) -> Iterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]  # type: ignore[call-overload]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


def _main(plan: str, diary: str) -> None:
    sensors = [Sensor(**given) for given in json.loads(Path(plan).read_text())]
    beats: dict[int, list[Beat]] = {sensor.mac: [] for sensor in sensors}
    asyncio.run(_run(sensors, beats))
    Path(diary).write_text(json.dumps(beats))


if __name__ == "__main__":
    _main(*sys.argv[1:])
