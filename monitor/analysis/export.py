"""Heartbeats as text to take away, a line each."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from monitor.model import Heartbeat, format_mac, format_time


def csv(beats: Iterable[Heartbeat], metrics: Sequence[str]) -> Iterator[str]:
    """A line of names, then one for each heartbeat; metrics that it lacks stay empty.

    Nothing needs quotation marks: all there is are times, addresses, true or false and numbers.
    """
    yield ",".join(("time", "mac_address", "received", "live", *metrics))
    for beat in beats:
        figures = beat.metrics or {}
        yield ",".join(
            (
                format_time(beat.time),
                format_mac(beat.mac),
                format_time(beat.received),
                "true" if beat.live else "false",
                *(repr(figures[name]) if name in figures else "" for name in metrics),
            )
        )


def ndjson(beats: Iterable[Heartbeat]) -> Iterator[str]:
    """An object for each heartbeat, just as `POST /heartbeats` takes it."""
    for beat in beats:
        row = {"mac_address": format_mac(beat.mac), "time": format_time(beat.time)}
        yield msgspec.json.encode({**row, **(beat.metrics or {})}).decode()
