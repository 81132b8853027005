"""Reply times of single heartbeats, measured by a process that does nothing else.

    python -m tests.bench.sender PORT

The heartbeats are sent when they are due, whether or not earlier ones were answered, and each
reply time counts from then: a stall of the server delays all that are due meanwhile. Nine of ten
use kept-alive connections. Prints the 99th percentile in ms.
"""

import asyncio
import gc
import subprocess
import sys
import time
from statistics import quantiles

import uvloop

from monitor.model import format_mac

TOKEN = "bench-" + "0" * 40
SECONDS, RATE = 10, 500
CONNECTIONS, SENSORS = 50, 1_000

_GET = (
    b"GET /heartbeat?mac_address=%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
)
_HEAD_START = 0.2
"""Seconds in which all connections are opened."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def beat(number: int) -> bytes:
    """A request with the heartbeat of one sensor."""
    return _GET % (format_mac(0x02_00_00_10_00_00 + number).encode(), TOKEN.encode())


def ninety_ninth(port: int) -> float:
    """The 99th percentile of the reply times (ms) at `RATE`, counted from when each was due."""
    command = [sys.executable, "-m", "tests.bench.sender", str(port)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


async def _answered(streams: Streams, request: bytes) -> None:
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    await reader.readuntil(b"}")


async def _send(port: int, turns: range, begin: float) -> list[float]:
    """The reply times (ms) of these heartbeats, nine of ten on one connection."""
    took = []
    kept = await asyncio.open_connection("127.0.0.1", port)
    for number, turn in enumerate(turns):
        due = begin + turn / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if (number + turn) % 10:
            await _answered(kept, beat(turn % SENSORS))
        else:
            fresh = await asyncio.open_connection("127.0.0.1", port)
            await _answered(fresh, beat(turn % SENSORS))
            fresh[1].close()
        took.append((time.perf_counter() - due) * 1e3)
    kept[1].close()
    return took


async def _measure(port: int) -> float:
    begin = time.perf_counter() + _HEAD_START
    shares = (range(first, SECONDS * RATE, CONNECTIONS) for first in range(CONNECTIONS))
    shared = await asyncio.gather(*(_send(port, share, begin) for share in shares))
    return quantiles([took for share in shared for took in share], n=100)[-1]


if __name__ == "__main__":
    gc.disable()  # a collection would count as a slow reply
    print(uvloop.run(_measure(int(sys.argv[1]))))
