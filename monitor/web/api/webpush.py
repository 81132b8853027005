"""/api/v1/webpush: browsers that want to be told, as their Push API describes them."""

from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, g
from sqlalchemy import Engine

from monitor.channels import addresses, webpush
from monitor.channels.webpush import BadSubscription, Identity, Subscription
from monitor.clock import Clock
from monitor.errors import Conflict
from monitor.outbox import notifications
from monitor.state import audit, channels
from monitor.state.channels import BROWSER, Stored
from monitor.state.database import writing
from monitor.vault import Unreadable, Vault
from monitor.web.api import body
from monitor.web.api.access import requires
from monitor.web.errors import RequestRefused

MOST = 500
"""Browsers that may be subscribed at a time."""

MOST_OF_ONE = 10
"""Browsers that one person, or one token, may have subscribed."""


class Keys(msgspec.Struct):
    """In base64url."""

    p256dh: str
    auth: str


class NewSubscription(msgspec.Struct):
    """What `JSON.stringify(subscription)` gives in a browser; more in it is not looked at."""

    endpoint: str
    keys: Keys


class Unwanted(msgspec.Struct):
    """The subscription to end; only who has it knows its endpoint."""

    endpoint: str


def blueprint(
    engine: Engine, vault: Vault, clock: Clock, contact: str, allow_internal: bool
) -> Blueprint:
    """Gives away the public key; adds and removes subscriptions. `contact`: whom push services may
    ask, as `channels.webpush.contact` makes it; `allow_internal`: these may be in our network."""
    api = Blueprint("api_webpush", __name__, url_prefix="/api/v1/webpush")

    def own_key() -> str:
        try:
            return webpush.own_key(engine, vault)
        except Unreadable as error:
            raise RequestRefused(503, f"the key of Web Push can't be read: {error}") from error

    @api.get("/key")
    @requires("viewer")
    def key() -> Response:
        return body.reply({"public_key": Identity(own_key(), contact).public_key})

    @api.post("/subscriptions")
    @requires("viewer")
    def subscribe() -> Response:
        wanted = body.read(NewSubscription)
        subscription = Subscription(wanted.endpoint, wanted.keys.p256dh, wanted.keys.auth)
        try:
            subscription.check()
        except BadSubscription as error:
            field = error.field if error.field == "endpoint" else f"keys.{error.field}"
            raise RequestRefused(400, str(error), field) from error
        _check_address(subscription.endpoint, allow_internal)
        settings = {
            "contact": contact,
            "push_service": subscription.origin,
            "subscribed_by": g.principal,
        }
        new = Stored(
            name=subscription.channel,
            kind=BROWSER,
            settings=settings,
            secrets={**subscription._asdict(), "key": own_key()},
            is_default=True,
            created_at=clock.now(),
        )
        with writing(engine) as connection:
            subscribers = channels.subscribers(connection)
            old = channels.find(connection, vault, new.name, to_change=True)
            if old is None:
                _check_room(subscribers)
                channels.add(connection, vault, new)
                audit.record(connection, g.principal, "browser subscribed", new.name)
                return body.reply({"name": new.name}, 201)
            if old.broken is None and old.secrets["endpoint"] != subscription.endpoint:
                raise Conflict(f"another browser has the name {new.name}", "name")
            again = replace(old, settings=settings, secrets=new.secrets, broken=None)
            channels.save(connection, vault, again)
        return body.reply({"name": new.name})

    @api.delete("/subscriptions")
    @requires("viewer")
    def unsubscribe() -> Response:
        name = Subscription(body.read(Unwanted).endpoint, "", "").channel
        with writing(engine) as connection:
            if not channels.remove_gone(connection, name):
                raise RequestRefused(404, "this browser is not subscribed", "endpoint")
            notifications.drop_channel(connection, name, "the browser unsubscribed", clock.now())
            audit.record(connection, g.principal, "browser unsubscribed", name)
        return Response(status=204)

    return api


def _check_address(endpoint: str, allow_internal: bool) -> None:
    parts = urlsplit(endpoint)
    try:
        addresses.resolve(parts.hostname or "", parts.port or 443, allow_internal)
    except addresses.Internal as error:
        raise RequestRefused(400, "must not lead to an internal address", "endpoint") from error
    except OSError:
        return  # the name may be known later: whoever sends looks again


def _check_room(subscribers: Counter[str]) -> None:
    mine = subscribers[g.principal]
    if mine >= MOST_OF_ONE:
        raise RequestRefused(
            409,
            f"{mine} browsers of {g.principal} are subscribed, which is the limit; "
            "turn notifications off in one of them, or ask an administrator to remove its channel",
            "endpoint",
        )
    if subscribers.total() >= MOST:
        raise RequestRefused(409, f"{MOST} browsers are subscribed, which is the limit", "endpoint")
