"""Which sensors of a fleet match, and how many: for silences and maintenance."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, takewhile

from monitor.incidents.matching import Matcher, Matchers

Attributes = Mapping[str, str]
"""The attributes of one sensor, as `matching.attributes` returns them."""


class Coverage:
    """A fleet to match often: a matcher tests each distinct value once, not each sensor."""

    def __init__(self, fleet: Iterable[Attributes]) -> None:
        self._fleet = list(fleet)
        self._indexes: dict[str, dict[str, list[int]]] = {}
        self._sorted: dict[str, list[str]] = {}

    def count(self, matchers: Matchers) -> int:
        """The number of sensors that match."""
        if len(matchers.matchers) == 1:
            return _total(self._candidates(matchers.matchers[0]))
        return sum(1 for _ in self.matching(matchers))

    def matching(self, matchers: Matchers) -> Iterator[int]:
        """The positions in the fleet of the sensors that match, in no order."""
        if not matchers.matchers:
            return iter(range(len(self._fleet)))
        found = [(self._candidates(matcher), matcher) for matcher in matchers.matchers]
        fewest, most_selective = min(found, key=lambda each: _total(each[0]))
        others = [matcher for _, matcher in found if matcher is not most_selective]
        positions = chain.from_iterable(fewest)
        if not others:
            return positions
        fleet = self._fleet
        return (n for n in positions if all(other.match(fleet[n]) for other in others))

    def _candidates(self, matcher: Matcher) -> list[list[int]]:
        """The positions of the sensors that fit one matcher, in one list for each value."""
        index, values, prefixes = self._index(matcher.name), matcher.values(), matcher.prefixes()
        if values is not None:
            return [index[value] for value in index.keys() & values]
        if prefixes is not None:
            found = {
                value for prefix in prefixes for value in self._with_prefix(matcher.name, prefix)
            }
            return [index[value] for value in found]
        return [positions for value, positions in index.items() if matcher.fits(value)]

    def _with_prefix(self, name: str, prefix: str) -> Iterator[str]:
        if name not in self._sorted:
            self._sorted[name] = sorted(self._index(name))
        values = self._sorted[name]
        rest = islice(values, bisect_left(values, prefix), None)
        return takewhile(lambda value: value.startswith(prefix), rest)

    def _index(self, name: str) -> Mapping[str, list[int]]:
        """Value of this attribute -> positions of the sensors that have it."""
        if name not in self._indexes:
            index: dict[str, list[int]] = defaultdict(list)
            for position, attributes in enumerate(self._fleet):
                index[attributes.get(name, "")].append(position)
            self._indexes[name] = index
        return self._indexes[name]


def _total(found: Iterable[Sequence[int]]) -> int:
    return sum(map(len, found))
