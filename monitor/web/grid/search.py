"""The sensors that a view of the grid shows, and their order. Must match static/grid/find.js."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from monitor.model import format_mac
from monitor.staleness.rules import SensorStatus
from monitor.web.grid.fleet import SensorEntry

_DIGITS = re.compile("[0-9]+")
_SEPARATORS = re.compile(r"[\s:.\-]")
_PART_OF_MAC = re.compile("[0-9a-f]+")
_WHOLE_ENOUGH = 6


class GridFilters(NamedTuple):
    """The filters in the URL of a view; invalid ones are ignored."""

    query: str = ""
    statuses: frozenset[SensorStatus] = frozenset()
    """Empty for every status."""
    site: str = ""
    label: tuple[str, str] | None = None
    by_name: bool = False
    flat: bool = False
    """Not grouped by site."""

    @classmethod
    def parse(cls, values: Callable[[str], Sequence[str]]) -> Self:
        """`values` returns all values of a parameter, as the page's form sends it."""

        def last(name: str) -> str:
            return next(reversed(values(name)), "")

        name, equals, value = last("label").partition("=")
        return cls(
            query=last("q").strip(),
            statuses=frozenset(
                status for status in SensorStatus if status.value in values("status")
            ),
            site=last("site"),
            label=(name, value) if equals else None,
            by_name=last("order") == "name",
            flat=last("group") == "none",
        )

    def matching(self, entries: Sequence[SensorEntry]) -> Sequence[SensorEntry]:
        """The sensors that match every filter."""
        if self == self._replace(query="", statuses=frozenset(), site="", label=None):
            return entries
        query = SearchQuery.of(self.query)
        return [entry for entry in entries if self._passes(entry) and query.finds(entry)]

    def _passes(self, entry: SensorEntry) -> bool:
        return (
            (not self.statuses or entry.status in self.statuses)
            and (not self.site or entry.site == self.site)
            and (self.label is None or entry.labels.get(self.label[0]) == self.label[1])
        )


class SearchQuery(NamedTuple):
    """The search text: every word must match, or the whole text must be part of a MAC address."""

    words: tuple[tuple[str, str], ...]
    """Each as text and, if it may be part of a MAC address in any notation, as hexadecimal
    digits."""
    whole: str

    @classmethod
    def of(cls, text: str) -> Self:
        """The words of a text."""
        folded = fold(text)
        whole = _hexadecimal(folded)
        return cls(
            tuple((word, _hexadecimal(word)) for word in folded.split()),
            whole if len(whole) >= _WHOLE_ENOUGH else "",
        )

    def finds(self, entry: SensorEntry) -> bool:
        """In the name, the site, a label's value or the MAC."""
        if not self.words:
            return True
        mac = f"{entry.mac:012x}"
        if self.whole and self.whole in mac:
            return True
        text = fold("\n".join((entry.name or "", entry.site or "", *entry.labels.values())))
        return all(word in text or (part and part in mac) for word, part in self.words)


def fold(text: str) -> str:
    """In lower case and without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).lower()


@lru_cache(maxsize=1 << 15)
def natural(text: str) -> str:
    """A sort key that puts 10 after 9."""
    return _DIGITS.sub(lambda digits: digits[0].lstrip("0").rjust(20, "0"), fold(text))


def order(entry: SensorEntry) -> str:
    """A sort key: by name; sensors without a name come last, by MAC address."""
    place = "1" if entry.name is None else f"0{natural(entry.name)}"
    return f"{place}\0{format_mac(entry.mac)}"


def _hexadecimal(text: str) -> str:
    digits = _SEPARATORS.sub("", text)
    return digits if len(digits) > 1 and _PART_OF_MAC.fullmatch(digits) else ""
