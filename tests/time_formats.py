"""Finds times in texts for users, and those that are in another format."""

import re

ZONES = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (GMT[+-]\d+|[A-Z]{3,4}|[+-]\d\d(?:\d\d)?)")
"""2026-11-23 14:03:12 CET, as `wording.long` writes it; finds the zone."""

_MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_OTHER = re.compile(
    rf"\b\d{{1,2}}:\d\d(?::\d\d)?\b|\b\d{{4}}-\d\d-\d\d\b|\b\d\d? {_MONTH}\b|\b{_MONTH} \d\d?\b"
)


def other_formats(text: str) -> list[str]:
    """Dates and times of day that are not in this format."""
    return _OTHER.findall(_MAC.sub("", ZONES.sub("", text)))
