"""Browsers that receive alerts as notifications (Web Push). Each browser is a channel."""

from collections import Counter
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sqlalchemy import Engine

from monitor.channels import addresses, webpush
from monitor.channels.webpush import BadSubscription, Identity, Subscription
from monitor.errors import Conflict, Invalid, MonitorError, NotFound
from monitor.outbox import notifications
from monitor.state import audit, channels
from monitor.state.channels import BROWSER, Stored
from monitor.state.database import writing
from monitor.vault import Unreadable, Vault

MOST = 500
"""The most browsers that can be subscribed."""

MOST_OF_ONE = 10
"""The most browsers that one user or token can have subscribed."""


class KeyUnreadable(MonitorError):
    """The service's own Web Push key can't be decrypted."""


@dataclass(frozen=True)
class BrowserService:
    """Subscribes and unsubscribes browsers."""

    engine: Engine
    vault: Vault
    contact: str
    """The contact for push services: see `channels.webpush.contact`."""
    allow_internal: bool
    """Whether push services can have internal addresses."""

    def public_key(self) -> str:
        """The public key for the browser's Push API. Raises KeyUnreadable."""
        return Identity(self._own_key(), self.contact).public_key

    def subscribe(self, actor: str, subscription: Subscription, now: int) -> tuple[str, bool]:
        """Subscribes a browser, or updates its subscription.

        Returns the channel's name, and whether it is new. Raises Invalid, Conflict, KeyUnreadable.
        """
        self._check(subscription)
        settings = {
            "contact": self.contact,
            "push_service": subscription.origin,
            "subscribed_by": actor,
        }
        new = Stored(
            name=subscription.channel,
            kind=BROWSER,
            settings=settings,
            secrets={**subscription._asdict(), "key": self._own_key()},
            is_default=True,
            created_at=now,
        )
        with writing(self.engine) as connection:
            subscribers = channels.subscribers(connection)
            old = channels.find(connection, self.vault, new.name, to_change=True)
            if old is None:
                _check_room(subscribers, actor)
                channels.add(connection, self.vault, new)
                audit.record(connection, actor, "browser subscribed", new.name)
                return new.name, True
            if old.broken is None and old.secrets["endpoint"] != subscription.endpoint:
                raise Conflict(f"another browser has the name {new.name}", "name")
            again = replace(old, settings=settings, secrets=new.secrets, broken=None)
            channels.save(connection, self.vault, again)
        return new.name, False

    def unsubscribe(self, actor: str, endpoint: str, now: int) -> None:
        """Removes a browser. Only the browser itself knows its endpoint. Raises NotFound."""
        name = Subscription(endpoint, "", "").channel
        with writing(self.engine) as connection:
            if not channels.remove_gone(connection, name):
                raise NotFound("this browser is not subscribed", "endpoint")
            notifications.cancel_for_channel(connection, name, "the browser unsubscribed", now)
            audit.record(connection, actor, "browser unsubscribed", name)

    def _own_key(self) -> str:
        try:
            return webpush.own_key(self.engine, self.vault)
        except Unreadable as error:
            raise KeyUnreadable(f"the key of Web Push can't be read: {error}") from error

    def _check(self, subscription: Subscription) -> None:
        try:
            subscription.check()
        except BadSubscription as error:
            field = error.field if error.field == "endpoint" else f"keys.{error.field}"
            raise Invalid(field, str(error)) from error
        parts = urlsplit(subscription.endpoint)
        try:
            addresses.resolve(parts.hostname or "", parts.port or 443, self.allow_internal)
        except addresses.Internal as error:
            raise Invalid("endpoint", "must not lead to an internal address") from error
        except OSError:
            return  # the name may resolve later; each send checks the address again


def _check_room(subscribers: Counter[str], actor: str) -> None:
    mine = subscribers[actor]
    if mine >= MOST_OF_ONE:
        raise Conflict(
            f"{mine} browsers of {actor} are subscribed, which is the limit; "
            "turn notifications off in one of them, or ask an administrator to remove its channel",
            "endpoint",
        )
    if subscribers.total() >= MOST:
        raise Conflict(f"{MOST} browsers are subscribed, which is the limit", "endpoint")
