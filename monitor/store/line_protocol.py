"""Heartbeats as lines of text for InfluxDB. ARCHITECTURE.md documents the schema."""

import re
from collections.abc import Iterable, Iterator

from monitor.model import Heartbeat
from monitor.store.interface import CoverageSpan
from monitor.store.slots import slot

_SOURCE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def apart(heartbeats: Iterable[Heartbeat]) -> tuple[list[Heartbeat], list[Heartbeat]]:
    """The same heartbeats for two POSTs, each (mac, time) once in either.

    Of two points of one moment in one POST InfluxDB drops the first; in a later one it merges.
    """
    received: dict[tuple[int, int, bool], int] = {}
    metrics: dict[tuple[int, int], dict[str, float]] = {}
    for beat in heartbeats:
        key = beat.mac, beat.time, beat.live
        received[key] = max(beat.received, received.get(key, 0))
        metrics.setdefault(key[:2], {}).update(beat.metrics or {})
    beats = [
        Heartbeat(mac, time, moment, live, metrics[mac, time] or None)
        for (mac, time, live), moment in received.items()
    ]
    return [beat for beat in beats if beat.live], [beat for beat in beats if not beat.live]


def heartbeat_lines(beats: Iterable[Heartbeat]) -> Iterator[str]:
    """A point for each, and a trace in `stamped` of each live one with a time of its own."""
    for mac, time, received, live, metrics in beats:
        address = mac.to_bytes(6, "big").hex(":")
        field = "received" if live else "repaired"
        more = ""
        if metrics:
            more = "".join(f",m_{name}={value!r}" for name, value in metrics.items())
        yield f"heartbeat,mac={address} {field}={received}i{more} {time}"
        if live and time != received:
            yield f"stamped,mac={address} stamp={time}i {received}"


def pulse_line(pulse: CoverageSpan) -> str:
    """One point an hour, overwritten each time."""
    return (
        f"pulse,source={_tag(pulse.source)} from={pulse.start}i,until={pulse.until}i,"
        f"closing={str(pulse.closing).lower()} {slot(pulse)}"
    )


def arrival_line(source: str, part: int, until: int, beats: str) -> str:
    """Without a time: the store's clock stamps it, whatever our clocks say."""
    return f'arrival,source={_tag(source)},part={part} until={until}i,beats="{beats}"'


def is_source(text: str) -> bool:
    """Whether this can be the name of a source."""
    return bool(_SOURCE.fullmatch(text))


def _tag(source: str) -> str:
    if not is_source(source):
        raise ValueError(f"{source[:40]!r} is not the name of a source")
    return source
