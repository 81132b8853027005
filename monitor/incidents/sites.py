"""Rules that give sensors without a site one, by the prefix of their MAC address."""

from collections.abc import Iterable

from monitor.model import format_mac


class Sites:
    """Rules such as `02:00:01=Site A`; the longest matching prefix counts."""

    def __init__(self, rules: Iterable[str] = ()) -> None:
        pairs = (rule.partition("=") for rule in rules)
        self._rules = sorted(
            ((prefix.strip().lower(), site.strip()) for prefix, _, site in pairs),
            key=lambda rule: -len(rule[0]),
        )

    def of(self, mac: int) -> str | None:
        """The site by these rules; None if no rule matches."""
        if not self._rules:
            return None
        text = format_mac(mac)
        return next((site for prefix, site in self._rules if text.startswith(prefix)), None)
