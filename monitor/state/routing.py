"""Routes and channels, as routing needs them: rows of `route` and `channel`."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from monitor.state.channels import BROWSER
from monitor.state.tables import channel, route


class RouteRow(NamedTuple):
    """One route; `escalate_after` in ms."""

    name: str
    matchers: list[str]
    channels: list[str]
    escalate_to: list[str]
    escalate_after: int | None


class ChannelRow(NamedTuple):
    """The parts of a channel that routing needs."""

    name: str
    kind: str
    is_default: bool


def routes(connection: Connection) -> list[RouteRow]:
    """All routes in their order."""
    columns = (getattr(route.c, name) for name in RouteRow._fields)
    rows = connection.execute(select(*columns).order_by(route.c.position, route.c.id))
    return [RouteRow(*row) for row in rows]


def channels(connection: Connection) -> list[ChannelRow]:
    """The enabled channels, without those of the settings."""
    columns = (getattr(channel.c, name) for name in ChannelRow._fields)
    rows = connection.execute(select(*columns).where(channel.c.enabled).order_by(channel.c.id))
    return [ChannelRow(*row) for row in rows]


def disabled_channels(connection: Connection) -> list[ChannelRow]:
    """The disabled channels, without browsers."""
    columns = (getattr(channel.c, name) for name in ChannelRow._fields)
    query = select(*columns).where(~channel.c.enabled, channel.c.kind != BROWSER)
    return [ChannelRow(*row) for row in connection.execute(query.order_by(channel.c.id))]


def default_channels(connection: Connection, of_settings: tuple[str, ...]) -> list[str]:
    """Names of all channels that receive the alerts that no route matches."""
    return [*of_settings, *(row.name for row in channels(connection) if row.is_default)]
