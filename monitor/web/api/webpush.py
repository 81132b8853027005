"""/api/v1/webpush: subscriptions of browsers that receive messages as notifications."""

import msgspec
from flask import Blueprint, Response, g

from monitor.channels.webpush import Subscription
from monitor.services.browsers import KeyUnreadable
from monitor.web.api import body
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.errors import problem


class Keys(msgspec.Struct):
    """The keys of a subscription, in base64url."""

    p256dh: str
    auth: str


class NewSubscription(msgspec.Struct):
    """A subscription as `JSON.stringify` writes it in a browser; other members are ignored."""

    endpoint: str
    keys: Keys


class EndedSubscription(msgspec.Struct):
    """The subscription to end."""

    endpoint: str


blueprint = Blueprint("api_webpush", __name__, url_prefix="/api/v1/webpush")


@blueprint.errorhandler(KeyUnreadable)
def unreadable(error: KeyUnreadable) -> Response:
    return problem(503, str(error))


@blueprint.get("/key")
@requires("viewer")
def key() -> Response:
    return body.reply({"public_key": context().browsers.public_key()})


@blueprint.post("/subscriptions")
@requires("viewer")
def subscribe() -> Response:
    sent = body.read(NewSubscription)
    subscription = Subscription(sent.endpoint, sent.keys.p256dh, sent.keys.auth)
    name, is_new = context().browsers.subscribe(g.principal, subscription, context().clock.now())
    return body.reply({"name": name}, 201 if is_new else 200)


@blueprint.delete("/subscriptions")
@requires("viewer")
def unsubscribe() -> Response:
    context().browsers.unsubscribe(
        g.principal, body.read(EndedSubscription).endpoint, context().clock.now()
    )
    return Response(status=204)
