"""The encoding of the arrival log: 16 bytes per heartbeat, in base64, because InfluxDB can't store
bytes."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from sys import byteorder

from monitor.model import Seen

BEATS_PER_PART = 20_000
"""Heartbeats in one part: 430 kB of text, below InfluxDB's limit of 1,000,000 bytes."""


def parts(seen: Sequence[Seen]) -> Iterator[str]:
    """Encodes heartbeats as texts with at most BEATS_PER_PART each."""
    for start in range(0, len(seen), BEATS_PER_PART):
        numbers = array("Q")
        for mac, time, live in seen[start : start + BEATS_PER_PART]:
            numbers.append(mac)
            numbers.append(time << 1 | live)
        yield b64encode(_little_endian(numbers).tobytes()).decode()


def unpack(text: str) -> list[Seen]:
    """Decodes a text from `parts`."""
    numbers = array("Q")
    numbers.frombytes(b64decode(text))
    flat = _little_endian(numbers).tolist()
    make = Seen._make
    return [
        make((mac, time >> 1, bool(time & 1)))
        for mac, time in zip(flat[::2], flat[1::2], strict=True)
    ]


def _little_endian(numbers: "array[int]") -> "array[int]":
    if byteorder == "big":
        numbers.byteswap()
    return numbers
