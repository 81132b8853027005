"""/api/v1/silences: messages about matching sensors are held for a while."""

from typing import Annotated, Literal

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta

from monitor.incidents.silence import LONGEST
from monitor.model import SECOND, format_time, parse_time
from monitor.services import silences
from monitor.services.silences import Phase
from monitor.state.silences import SilenceRow
from monitor.web.api import body
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.errors import RequestRefused


class SilenceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which silences; without a state, current and upcoming ones."""

    state: Literal["current", "upcoming", "past"] | None = None


class NewSilence(msgspec.Struct, forbid_unknown_fields=True):
    """A silence to start, with `ends_at` or `duration_seconds`; `starts_at` is now by default."""

    matchers: list[str]
    comment: str
    starts_at: str | None = None
    ends_at: str | None = None
    duration_seconds: Annotated[float, Meta(gt=0, le=LONGEST / SECOND)] | None = None


class SilenceShape(msgspec.Struct):
    """A silence. Times are RFC 3339 in UTC."""

    id: int
    state: Phase
    matchers: list[str]
    starts_at: str
    ends_at: str
    comment: str
    created_by: str
    created_at: str


blueprint = Blueprint("api_silences", __name__, url_prefix="/api/v1/silences")


@blueprint.get("")
@requires("viewer")
def listed() -> Response:
    query, now = body.query(SilenceQuery), context().clock.now()
    rows = silences.listed(context().engine, query.state, now)
    return body.reply({"silences": [shape(row, now) for row in rows]})


@blueprint.get("/<int:number>")
@requires("viewer")
def one(number: int) -> Response:
    return body.reply(shape(silences.find(context().engine, number), context().clock.now()))


@blueprint.post("")
@requires("operator")
def start() -> Response:
    sent, now = body.read(NewSilence), context().clock.now()
    starts_at = now if sent.starts_at is None else moment("starts_at", sent.starts_at)
    if (sent.ends_at is None) == (sent.duration_seconds is None):
        raise RequestRefused(
            400, "is required unless duration_seconds is given; not both", "ends_at"
        )
    if sent.ends_at is not None:
        ends_at = moment("ends_at", sent.ends_at)
    else:
        ends_at = starts_at + round((sent.duration_seconds or 0) * SECOND)
    row = silences.start(
        context().engine, g.principal, sent.matchers, starts_at, ends_at, sent.comment, now
    )
    return body.reply(shape(row, now), 201)


@blueprint.post("/<int:number>/end")
@requires("operator")
def end(number: int) -> Response:
    now = context().clock.now()
    return body.reply(shape(silences.end(context().engine, g.principal, number, now), now))


def moment(field: str, text: str) -> int:
    """An RFC 3339 time in ms. Raises RequestRefused."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise RequestRefused(400, f"must be like 2026-11-23T03:42:00Z: {error}", field) from error


def shape(row: SilenceRow, now: int) -> SilenceShape:
    """A silence as JSON."""
    return SilenceShape(
        id=row.id,
        state=silences.phase_of(row, now),
        matchers=list(row.matchers),
        starts_at=format_time(row.starts_at),
        ends_at=format_time(row.ends_at),
        comment=row.comment,
        created_by=row.created_by,
        created_at=format_time(row.created_at),
    )
