"""Points in InfluxDB's line protocol. ARCHITECTURE.md documents the schema."""

import re
from collections.abc import Iterable, Iterator

from monitor.model import Heartbeat
from monitor.store.interface import CoverageSpan
from monitor.store.slots import slot

_SOURCE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def apart(heartbeats: Iterable[Heartbeat]) -> tuple[list[Heartbeat], list[Heartbeat]]:
    """Splits the heartbeats for two requests, so that each has every (mac, time) only once.

    InfluxDB drops the first of two points with the same time in one request, but merges points
    from different requests.
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
    """A point of `heartbeat` for each, and of `stamped` for live ones with a time of their own."""
    for mac, time, received, live, metrics in beats:
        address = mac.to_bytes(6, "big").hex(":")
        field = "received" if live else "repaired"
        fields = ""
        if metrics:
            for name, value in metrics.items():
                fields += f",m_{name}={value!r}"
        yield f"heartbeat,mac={address} {field}={received}i{fields} {time}"
        if live and time != received:
            yield f"stamped,mac={address} stamp={time}i {received}"


def coverage_line(span: CoverageSpan) -> str:
    """A point of `pulse`: one per hour, which later ones overwrite."""
    return (
        f"pulse,source={_tag(span.source)} from={span.start}i,until={span.until}i,"
        f"closing={str(span.closing).lower()} {slot(span)}"
    )


def arrival_line(source: str, part: int, until: int, beats: str) -> str:
    """A point of `arrival`, without a time: InfluxDB sets it from its own clock."""
    return f'arrival,source={_tag(source)},part={part} until={until}i,beats="{beats}"'


def is_source(text: str) -> bool:
    """Whether this is a valid source id."""
    return bool(_SOURCE.fullmatch(text))


def _tag(source: str) -> str:
    if not is_source(source):
        raise ValueError(f"{source[:40]!r} is not the name of a source")
    return source
