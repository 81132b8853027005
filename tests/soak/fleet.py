"""A fleet of sensors in a thread; each heartbeat is repeated until accepted."""

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.keepalive import Host
from tests.soak.plan import INTERVAL, Outage, Plan

_PATIENCE = 4.0
_ATTEMPTS = 5
_PAUSE = 0.4


class Accepted(NamedTuple):
    """A heartbeat that got a 2xx. Times in epoch ms; `time` is the same in each repetition."""

    time: int
    sent: int
    answered: int


class Fleet:
    """All sensors of a plan, from `start` to `stop`."""

    def __init__(self, plan: Plan, urls: Sequence[str], seed: int) -> None:
        self.accepted: dict[int, list[Accepted]] = defaultdict(list)
        self.tried: set[tuple[int, int]] = set()
        """(mac, time) of every heartbeat sent, accepted or not."""
        self.repetitions = self.given_up = 0
        self._plan, self._urls, self._chance = plan, urls, random.Random(f"{seed} phases")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._failure: BaseException | None = None
        self._stopped = False

    def start(self) -> None:
        """Start to send heartbeats."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. Raises the exception that ended the thread early, if any."""
        self._stopped = True
        self._thread.join()
        if self._failure:
            raise self._failure

    async def _run(self) -> None:
        try:
            hosts = [Host(url, _PATIENCE) for url in self._urls]
            await asyncio.gather(
                *(self._live(mac, hosts, self._plan.outages.get(mac)) for mac in self._plan.macs)
            )
            await asyncio.gather(*(host.close() for host in hosts))
        except BaseException as error:  # noqa: BLE001 - `join` raises it
            self._failure = error

    async def _live(self, mac: int, hosts: Sequence[Host], outage: Outage | None) -> None:
        clock = asyncio.get_running_loop().time
        began, due = clock(), self._chance.uniform(0, INTERVAL)
        while not self._stopped:
            await asyncio.sleep(began + due - clock())
            if outage is None or not outage.start <= clock() - began < outage.stop:
                await self._beat(mac, hosts)
            due = max(due + INTERVAL, clock() - began)

    async def _beat(self, mac: int, hosts: Sequence[Host]) -> None:
        """Send a heartbeat to each host in turn until one accepts it."""
        moment = _now()
        self.tried.add((mac, moment))
        for attempt in range(_ATTEMPTS):
            sent = _now()
            status = await hosts[(mac + attempt) % len(hosts)].beat(mac, moment)
            if 200 <= status < 300:
                self.accepted[mac].append(Accepted(moment, sent, _now()))
                return
            self.repetitions += 1
            await asyncio.sleep(_PAUSE)
        self.given_up += 1


def _now() -> int:
    return time.time_ns() // 1_000_000
