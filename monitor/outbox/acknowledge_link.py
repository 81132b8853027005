"""The signed link in a message that acknowledges its incidents without a login."""

from collections.abc import Callable

from monitor.model import HOUR
from monitor.vault import Vault

LIFETIME = 48 * HOUR
"""How long a link works (ms)."""

PURPOSE = "acknowledge"
"""The purpose that the signature contains."""

PATH = "/acknowledge/"
"""The path of the link, without its token."""


def links(vault: Vault, base_url: str) -> Callable[[int, str, int], str]:
    """Returns a function (notification id, channel, now) -> link."""

    def link(notification_id: int, channel: str, now: int) -> str:
        payload = {"n": notification_id, "c": channel, "e": now + LIFETIME}
        return f"{base_url.rstrip('/')}{PATH}{vault.sign(PURPOSE, payload)}"

    return link
