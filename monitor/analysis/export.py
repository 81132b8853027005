"""Export of heartbeats as text, one per line."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from monitor.model import Heartbeat, format_mac, format_time


def csv(beats: Iterable[Heartbeat], metrics: Sequence[str]) -> Iterator[str]:
    """A header line, then one line per heartbeat. Missing metrics are empty.

    No value needs quotation marks: there are only times, addresses, true or false, and numbers.
    """
    yield ",".join(("time", "mac_address", "received", "live", *metrics))
    for beat in beats:
        values = beat.metrics or {}
        yield ",".join(
            (
                format_time(beat.time),
                format_mac(beat.mac),
                format_time(beat.received),
                "true" if beat.live else "false",
                *(repr(values[name]) if name in values else "" for name in metrics),
            )
        )


def ndjson(beats: Iterable[Heartbeat]) -> Iterator[str]:
    """One JSON object per heartbeat, in the format that `POST /heartbeats` accepts."""
    for beat in beats:
        row = {"mac_address": format_mac(beat.mac), "time": format_time(beat.time)}
        yield msgspec.json.encode({**row, **(beat.metrics or {})}).decode()
