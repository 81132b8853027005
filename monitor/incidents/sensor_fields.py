"""What people set of a sensor: its name, site, labels and threshold, from text and back."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from monitor.errors import Invalid
from monitor.model import SECOND

LONGEST_WORDS = 200
SHORTEST_THRESHOLD, LONGEST_THRESHOLD = 0.1, 10 * 365 * 86_400
"""In seconds."""

RESERVED = ("mac", "name", "site")
"""What matchers compare besides labels."""

_LABEL = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,39})\s*=\s*(.{0,200})")
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, halves of characters, ends of lines and paragraphs."""


def words(field: str, text: str) -> str | None:
    """A name or a site (`field` says which); None when empty.

    Raises Invalid, as all here do.
    """
    text = text.strip()
    if len(text) > LONGEST_WORDS:
        raise Invalid(field, f"must have at most {LONGEST_WORDS} characters")
    if _unseen(text):
        raise Invalid(field, "must be one line, without control characters")
    return text or None


def threshold(text: str) -> int | None:
    """Seconds as people write them, in ms; None when empty: the service's default."""
    if not text.strip():
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_THRESHOLD <= seconds <= LONGEST_THRESHOLD:
        raise Invalid("threshold", "must be from 0.1 seconds to ten years, or empty")
    return round(seconds * SECOND)


def written(threshold: int | None) -> str:
    """A threshold in seconds, as `threshold` reads it."""
    return "" if threshold is None else f"{threshold / SECOND:.3f}".rstrip("0").rstrip(".")


def label(text: str) -> tuple[str, str]:
    """Name and value of `floor=3`; an empty value means that there is no such label."""
    found = _LABEL.fullmatch(text.strip())
    if found is None or _unseen(found[2]):
        raise Invalid("labels", f"must look like floor=3, not {text.strip()[:60]!r}")
    if found[1] in RESERVED:
        raise Invalid("labels", f"must not include {found[1]}, which has its own field")
    return found[1], found[2]


def labels(texts: Iterable[str]) -> dict[str, str]:
    """Those of all texts that are not blank."""
    return merged({}, dict(label(text) for text in texts if text.strip()))


def merged(labels: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    """The labels with these set, and those that are empty left out."""
    return {name: value for name, value in {**labels, **changed}.items() if value}


def _unseen(text: str) -> bool:
    return any(unicodedata.category(letter) in _UNSEEN for letter in text)
