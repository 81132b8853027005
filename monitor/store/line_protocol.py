"""Heartbeats as lines of text for InfluxDB. ARCHITECTURE.md documents the schema."""

import re
from collections.abc import Iterable, Iterator

from monitor.model import Heartbeat
from monitor.store.interface import Pulse
from monitor.store.slots import slot

_SOURCE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def merged(heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """One for each (mac, time): of two in one POST InfluxDB would drop the first."""
    kept: dict[tuple[int, int], Heartbeat] = {}
    for beat in heartbeats:
        key = beat.mac, beat.time
        if earlier := kept.get(key):
            live, received = max((earlier.live, earlier.received), (beat.live, beat.received))
            metrics = {**(earlier.metrics or {}), **(beat.metrics or {})} or None
            beat = beat._replace(live=live, received=received, metrics=metrics)
        kept[key] = beat
    return list(kept.values())


def heartbeat_lines(beats: Iterable[Heartbeat]) -> Iterator[str]:
    """A point for each, and a trace in `stamped` of each live one with a time of its own."""
    for mac, time, received, live, metrics in beats:
        address = mac.to_bytes(6, "big").hex(":")
        field = "received" if live else "repaired"
        more = ""
        if metrics:
            more = "".join(f",m_{name}={float(value)!r}" for name, value in metrics.items())
        yield f"heartbeat,mac={address} {field}={received}i{more} {time}"
        if live and time != received:
            yield f"stamped,mac={address} stamp={time}i {received}"


def pulse_line(pulse: Pulse) -> str:
    """One point an hour, overwritten each time."""
    return (
        f"pulse,source={_tag(pulse.source)} from={pulse.start}i,until={pulse.until}i,"
        f"closing={str(pulse.closing).lower()} {slot(pulse)}"
    )


def arrival_line(source: str, part: int, until: int, beats: str) -> str:
    """Without a time: the store's clock stamps it, whatever our clocks say."""
    return f'arrival,source={_tag(source)},part={part} until={until}i,beats="{beats}"'


def _tag(source: str) -> str:
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"{source[:40]!r} is not the name of a source")
    return source
