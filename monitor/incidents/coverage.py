"""How many sensors the matchers of silences and maintenance mean."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from monitor.incidents.matching import Matchers

Attributes = Mapping[str, str]
"""Of one sensor, as `matching.attributes` gives them."""


class Coverage:
    """A fleet that can be asked often: what names its values is looked up."""

    def __init__(self, fleet: Iterable[Attributes]) -> None:
        self._fleet = list(fleet)
        self._by_value: dict[str, dict[str, list[Attributes]]] = {}

    def count(self, matchers: Matchers) -> int:
        """How many of the fleet match."""
        return sum(map(matchers.match, self._candidates(matchers)))

    def _candidates(self, matchers: Matchers) -> Sequence[Attributes]:
        for matcher in matchers.matchers:
            values = matcher.values()
            if values is not None:
                known = self._values_of(matcher.name)
                return [one for value in values for one in known.get(value, ())]
        return self._fleet

    def _values_of(self, name: str) -> Mapping[str, Sequence[Attributes]]:
        if name not in self._by_value:
            found: dict[str, list[Attributes]] = defaultdict(list)
            for one in self._fleet:
                found[one.get(name, "")].append(one)
            self._by_value[name] = found
        return self._by_value[name]
