"""/api/v1/webpush: browsers that receive notifications, as their Push API describes them."""

import msgspec
from flask import Blueprint, Response, g

from monitor.channels.webpush import Subscription
from monitor.clock import Clock
from monitor.services.browsers import BrowserService, KeyUnreadable
from monitor.web.api import body
from monitor.web.api.access import requires
from monitor.web.errors import problem


class Keys(msgspec.Struct):
    """In base64url."""

    p256dh: str
    auth: str


class NewSubscription(msgspec.Struct):
    """What `JSON.stringify(subscription)` gives in a browser; other members are ignored."""

    endpoint: str
    keys: Keys


class EndedSubscription(msgspec.Struct):
    """The subscription to end."""

    endpoint: str


def blueprint(browsers: BrowserService, clock: Clock) -> Blueprint:
    """Shows the public key; adds and removes subscriptions."""
    api = Blueprint("api_webpush", __name__, url_prefix="/api/v1/webpush")

    @api.errorhandler(KeyUnreadable)
    def unreadable(error: KeyUnreadable) -> Response:
        return problem(503, str(error))

    @api.get("/key")
    @requires("viewer")
    def key() -> Response:
        return body.reply({"public_key": browsers.public_key()})

    @api.post("/subscriptions")
    @requires("viewer")
    def subscribe() -> Response:
        wanted = body.read(NewSubscription)
        subscription = Subscription(wanted.endpoint, wanted.keys.p256dh, wanted.keys.auth)
        name, is_new = browsers.subscribe(g.principal, subscription, clock.now())
        return body.reply({"name": name}, 201 if is_new else 200)

    @api.delete("/subscriptions")
    @requires("viewer")
    def unsubscribe() -> Response:
        browsers.unsubscribe(g.principal, body.read(EndedSubscription).endpoint, clock.now())
        return Response(status=204)

    return api
