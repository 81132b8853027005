"""Matchers select sensors: `site=Hall A|Hall B` or `mac!=02:00:*`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from monitor.model import format_mac, parse_mac

MOST_MATCHERS = 20
MOST_WILDCARDS = 100
"""Alternatives with `*` in one matcher. Those without are looked up, so their number is free."""

DEFAULT_SEVERITY = "critical"

_HOW = "write it like site=Hall A, site!=Hall A|Hall B or mac=02:00:*"
_PART_OF_MAC = re.compile(r"(?![0-9a-f:*]*[0-9a-f]{3})[0-9a-f:*]+", re.ASCII)


def attributes(
    mac: int, name: str | None, site: str | None, labels: Mapping[str, str]
) -> dict[str, str]:
    """What matchers compare: the labels, with `severity`, and mac, name and site."""
    return {
        "severity": DEFAULT_SEVERITY,
        **labels,
        "mac": format_mac(mac),
        "name": name or "",
        "site": site or "",
    }


@dataclass(frozen=True)
class Matcher:
    """One condition: the attribute fits one of the patterns, or none of them if `negated`."""

    name: str
    patterns: tuple[str, ...]
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.name}{'!=' if self.negated else '='}{'|'.join(self.patterns)}"

    def match(self, attributes: Mapping[str, str]) -> bool:
        """Whether the condition holds; a missing attribute counts as empty."""
        return self.fits(attributes.get(self.name, ""))

    def fits(self, value: str) -> bool:
        """Whether the condition holds for this value of the attribute."""
        fits = value in self._exact or any(_fits(value, parts) for parts in self._wild)
        return fits is not self.negated

    def values(self) -> frozenset[str] | None:
        """All values that fit; None if they can't be listed."""
        return None if self.negated or self._wild else self._exact

    def prefixes(self) -> tuple[str, ...] | None:
        """The prefixes of the values that fit; None if more than a prefix decides."""
        if self.negated or any(pattern.find("*") != len(pattern) - 1 for pattern in self.patterns):
            return None
        return tuple(pattern[:-1] for pattern in self.patterns)

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(pattern for pattern in self.patterns if "*" not in pattern)

    @cached_property
    def _wild(self) -> list[list[str]]:
        return [pattern.split("*") for pattern in self.patterns if "*" in pattern]


@dataclass(frozen=True)
class Matchers:
    """Conditions that must all hold; an empty list matches everything."""

    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        return ", ".join(self.texts()) or "everything"

    def texts(self) -> list[str]:
        """The canonical texts; `parse` returns the same matchers for them."""
        return [str(matcher) for matcher in self.matchers]

    def match(self, attributes: Mapping[str, str]) -> bool:
        """Whether a sensor matches, by its attributes as `attributes` returns them."""
        return all(matcher.match(attributes) for matcher in self.matchers)


def parse(texts: Iterable[str]) -> Matchers:
    """Parses `name=pattern` or `name!=pattern`; `|` separates alternatives, `*` is any text.

    White space around names and alternatives is ignored. Raises ValueError, which has the matcher.
    """
    matchers = tuple(_parse(text) for text in texts)
    if len(matchers) > MOST_MATCHERS:
        raise ValueError(
            f"{len(matchers)} matchers are too many; at most {MOST_MATCHERS} are allowed"
        )
    return Matchers(matchers)


def _parse(text: str) -> Matcher:
    shown = repr(text if len(text) <= 60 else text[:59] + "…")
    before, equals, after = text.partition("=")
    negated = before.endswith("!")
    name = before.removesuffix("!").strip()
    if not equals or not name or "!" in name:
        raise ValueError(f"{shown} is not a matcher; {_HOW}")
    if after.startswith(("=", "~")):
        raise ValueError(f"{shown}: regular expressions and == are not supported; {_HOW}")
    if len(after.strip()) > 1 and after.strip()[0] == after.strip()[-1] in "\"'":
        raise ValueError(f"{shown}: remove the quotation marks; {_HOW}")
    patterns = [alternative.strip() for alternative in after.split("|")]
    if name.lower() in ("mac", "name", "site"):
        name = name.lower()
    if name == "mac":
        try:
            patterns = [_mac_pattern(pattern) for pattern in patterns]
        except ValueError as error:
            raise ValueError(f"{shown}: {error}") from None
    if sum("*" in pattern for pattern in patterns) > MOST_WILDCARDS:
        raise ValueError(f"{shown}: at most {MOST_WILDCARDS} alternatives may contain a *")
    return Matcher(name, tuple(dict.fromkeys(patterns)), negated)


def _mac_pattern(pattern: str) -> str:
    if "*" not in pattern:
        return format_mac(parse_mac(pattern))
    lowered = pattern.lower().replace("-", ":")
    if not _PART_OF_MAC.fullmatch(lowered):
        raise ValueError(f"{pattern[:40]!r} can't match a MAC address; write it like 02:00:*")
    return lowered


def _fits(value: str, parts: list[str]) -> bool:
    """Whether the value has the parts of a pattern between its `*`, in order, without overlap."""
    first, *middle, last = parts
    end = len(value) - len(last)
    place = len(first)
    if place > end or not value.startswith(first) or not value.endswith(last):
        return False
    for part in middle:
        found = value.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True
