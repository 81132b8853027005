"""/api/v1/channels: ways to reach recipients. Secrets can be set, but not read."""

from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint, Response, g
from msgspec import UNSET, Meta, UnsetType

from monitor.model import format_time
from monitor.outbox.catalogue import default_budget, shown_secrets
from monitor.state import channels
from monitor.state.channels import Health, Stored
from monitor.state.database import reading
from monitor.web.api import body
from monitor.web.api.shapes import time
from monitor.web.auth.access import requires
from monitor.web.context import context

Budget = Annotated[int, Meta(ge=1, le=1_000_000)]


class NewChannel(msgspec.Struct, forbid_unknown_fields=True):
    """A new channel; settings and secrets are those of its kind."""

    name: str
    kind: str
    settings: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    enabled: bool = True
    is_default: bool = False
    budget: Budget | UnsetType | None = UNSET


class ChannelChanges(msgspec.Struct, forbid_unknown_fields=True):
    """Changes as a JSON merge patch (RFC 7396): null removes a setting or secret, and members that
    are absent stay as they are."""

    settings: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    enabled: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    budget: Budget | UnsetType | None = UNSET


class HealthShape(msgspec.Struct):
    """The results of recent messages. Times are RFC 3339 in UTC."""

    sent_at: str | None
    failing_since: str | None
    error: str | None
    """The last error, also after later messages were sent."""
    error_at: str | None


class ChannelShape(msgspec.Struct):
    """A channel."""

    name: str
    kind: str
    from_settings: bool
    """Enabled by the settings of the service: it can be tested here, but not changed."""
    settings: dict[str, Any]
    secrets: dict[str, Literal["set", "not set"]]
    enabled: bool
    is_default: bool
    budget: int | None
    created_at: str | None
    problem: str | None
    """Why the channel can't be used."""
    health: HealthShape | None


blueprint = Blueprint("api_channels", __name__, url_prefix="/api/v1/channels")


@blueprint.get("")
@requires("administrator")
def listed() -> Response:
    with reading(context().engine) as connection:
        health = channels.health(connection)
        shapes = [
            shape_of_settings(name, health.get(name)) for name in context().channels.of_settings
        ]
        for stored in channels.load(connection, context().vault):
            shapes.append(shape(stored, health.get(stored.name)))
    return body.reply({"channels": shapes})


@blueprint.get("/<name>")
@requires("administrator")
def one(name: str) -> Response:
    with reading(context().engine) as connection:
        health = channels.health(connection).get(name)
        if name in context().channels.of_settings:
            return body.reply(shape_of_settings(name, health))
        return body.reply(shape(context().channels.found(connection, name), health))


@blueprint.post("")
@requires("administrator")
def add() -> Response:
    sent = body.read(NewChannel)
    budget = default_budget(sent.kind) if sent.budget is UNSET else sent.budget
    new = Stored(
        name=sent.name,
        kind=sent.kind,
        settings=sent.settings,
        secrets=sent.secrets,
        enabled=sent.enabled,
        is_default=sent.is_default,
        budget=budget,
        created_at=context().clock.now(),
    )
    context().channels.add(g.principal, new)
    return body.reply(shape(new, None), 201)


@blueprint.patch("/<name>")
@requires("administrator")
def change(name: str) -> Response:
    sent = body.read(ChannelChanges)
    given = {field: getattr(sent, field) for field in ("enabled", "is_default", "budget")}
    values = {field: value for field, value in given.items() if value is not UNSET}
    new = context().channels.change(g.principal, name, sent.settings, sent.secrets, **values)
    with reading(context().engine) as connection:
        health = channels.health(connection).get(name)
    return body.reply(shape(new, health))


@blueprint.delete("/<name>")
@requires("administrator")
def remove(name: str) -> Response:
    context().channels.remove(g.principal, name)
    return Response(status=204)


@blueprint.post("/<name>/test")
@requires("administrator")
def test(name: str) -> Response:
    error = context().channels.test(name)
    return body.reply({"sent": error is None, "error": error})


def shape(stored: Stored, health: Health | None) -> ChannelShape:
    """A channel of the state as JSON."""
    return ChannelShape(
        name=stored.name,
        kind=stored.kind,
        from_settings=False,
        settings=dict(stored.settings),
        secrets=shown_secrets(stored),
        enabled=stored.enabled,
        is_default=stored.is_default,
        budget=stored.budget,
        created_at=format_time(stored.created_at),
        problem=stored.broken,
        health=_health(health),
    )


def shape_of_settings(name: str, health: Health | None) -> ChannelShape:
    """A channel of the settings as JSON."""
    return ChannelShape(
        name=name,
        kind=name,
        from_settings=True,
        settings={},
        secrets={},
        enabled=True,
        is_default=True,
        budget=None,
        created_at=None,
        problem=None,
        health=_health(health),
    )


def _health(health: Health | None) -> HealthShape | None:
    """None if the channel was never used."""
    if health is None:
        return None
    return HealthShape(
        sent_at=time(health.sent_at),
        failing_since=time(health.failing_since),
        error=health.error,
        error_at=time(health.error_at),
    )
