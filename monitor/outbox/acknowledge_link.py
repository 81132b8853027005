"""The signed link in a message, by which its recipient acknowledges without a login."""

from collections.abc import Callable

from monitor.model import HOUR
from monitor.vault import Vault

LIFETIME = 48 * HOUR
"""How long a link works (ms)."""

PURPOSE = "acknowledge"
"""Of the signature."""

PATH = "/acknowledge/"
"""The token follows."""


def links(vault: Vault, base_url: str) -> Callable[[int, str, int], str]:
    """(notification id, channel, now) -> its link; the same each time."""

    def link(notification_id: int, channel: str, now: int) -> str:
        payload = {"n": notification_id, "c": channel, "e": now + LIFETIME}
        return f"{base_url.rstrip('/')}{PATH}{vault.sign(PURPOSE, payload)}"

    return link
