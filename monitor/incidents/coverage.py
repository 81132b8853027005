"""Which sensors of a fleet the matchers of silences and maintenance mean, and how many."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, takewhile

from monitor.incidents.matching import Matcher, Matchers

Attributes = Mapping[str, str]
"""Of one sensor, as `matching.attributes` gives them."""


class Coverage:
    """A fleet that can be asked often: a matcher looks at each value once, not at each sensor."""

    def __init__(self, fleet: Iterable[Attributes]) -> None:
        self._fleet = list(fleet)
        self._places: dict[str, dict[str, list[int]]] = {}
        self._sorted: dict[str, list[str]] = {}

    def count(self, matchers: Matchers) -> int:
        """How many of the fleet match."""
        if len(matchers.matchers) == 1:
            return _total(self._fitting(matchers.matchers[0]))
        return sum(1 for _ in self.meant(matchers))

    def meant(self, matchers: Matchers) -> Iterator[int]:
        """The places in the fleet of those that match, in no order."""
        if not matchers.matchers:
            return iter(range(len(self._fleet)))
        found = [(self._fitting(matcher), matcher) for matcher in matchers.matchers]
        fewest, first = min(found, key=lambda each: _total(each[0]))
        others = [matcher for _, matcher in found if matcher is not first]
        places = chain.from_iterable(fewest)
        if not others:
            return places
        fleet = self._fleet
        return (n for n in places if all(other.match(fleet[n]) for other in others))

    def _fitting(self, matcher: Matcher) -> list[list[int]]:
        """Places of those that fit one matcher, by the value they have."""
        known, listed, prefixes = self._by_value(matcher.name), matcher.values(), matcher.prefixes()
        if listed is not None:
            return [known[value] for value in known.keys() & listed]
        if prefixes is not None:
            begun = {value for prefix in prefixes for value in self._begun(matcher.name, prefix)}
            return [known[value] for value in begun]
        return [places for value, places in known.items() if matcher.fits(value)]

    def _begun(self, name: str, prefix: str) -> Iterator[str]:
        if name not in self._sorted:
            self._sorted[name] = sorted(self._by_value(name))
        values = self._sorted[name]
        rest = islice(values, bisect_left(values, prefix), None)
        return takewhile(lambda value: value.startswith(prefix), rest)

    def _by_value(self, name: str) -> Mapping[str, list[int]]:
        if name not in self._places:
            found: dict[str, list[int]] = defaultdict(list)
            for place, one in enumerate(self._fleet):
                found[one.get(name, "")].append(place)
            self._places[name] = found
        return self._places[name]


def _total(found: Iterable[Sequence[int]]) -> int:
    return sum(map(len, found))
