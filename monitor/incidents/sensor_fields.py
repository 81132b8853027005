"""The fields of a sensor that users edit: name, site, labels and threshold, as text."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from monitor.errors import Invalid
from monitor.model import SECOND, parse_duration
from monitor.outbox import wording

LONGEST_WORDS = 200
SHORTEST_THRESHOLD, LONGEST_THRESHOLD = 0.1, 10 * 365 * 86_400
"""In seconds."""

RESERVED = ("mac", "name", "site")
"""What matchers compare besides labels."""

_LABEL = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,39})\s*=\s*(.{0,200})")
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, surrogates, line and paragraph separators."""


def words(field: str, text: str) -> str | None:
    """Checks a name or a site; `field` is its name in errors. None if it is empty.

    Raises Invalid.
    """
    text = text.strip()
    if len(text) > LONGEST_WORDS:
        raise Invalid(field, f"must have at most {LONGEST_WORDS} characters")
    if _has_invisible(text):
        raise Invalid(field, "must be one line, without control characters")
    return text or None


def threshold(text: str) -> int | None:
    """Parses seconds or a duration such as `5m`, and returns ms; None if empty: then the default
    applies. Raises Invalid."""
    if not text.strip():
        return None
    try:
        length = parse_duration(text)
    except ValueError:
        length = 0
    if not SHORTEST_THRESHOLD * SECOND <= length <= LONGEST_THRESHOLD * SECOND:
        raise Invalid(
            "threshold",
            "must be seconds or a duration such as 5m, from 0.1 seconds to ten years, or empty",
        )
    return length


def written(threshold: int | None) -> str:
    """A threshold (ms) in seconds, as `threshold` parses it."""
    return "" if threshold is None else wording.seconds(threshold)


def label(text: str) -> tuple[str, str]:
    """Parses `floor=3`; an empty value removes the label. Raises Invalid."""
    found = _LABEL.fullmatch(text.strip())
    if found is None or _has_invisible(found[2]):
        raise Invalid("labels", f"must look like floor=3, not {text.strip()[:60]!r}")
    if found[1] in RESERVED:
        raise Invalid("labels", f"must not include {found[1]}, which has its own field")
    return found[1], found[2]


def labels(texts: Iterable[str]) -> dict[str, str]:
    """Parses the texts that are not blank. Raises Invalid."""
    return merged({}, dict(label(text) for text in texts if text.strip()))


def merged(labels: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    """The labels with these changes, without empty ones."""
    return {name: value for name, value in {**labels, **changed}.items() if value}


def _has_invisible(text: str) -> bool:
    return any(unicodedata.category(letter) in _INVISIBLE for letter in text)
