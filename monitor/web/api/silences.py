"""/api/v1/silences: messages about these sensors are held for a while."""

from typing import Annotated, Literal

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.incidents.silence import LONGEST
from monitor.model import SECOND, format_time, parse_time
from monitor.services import silences
from monitor.services.silences import Phase
from monitor.state.silences import SilenceRow
from monitor.web.api import body
from monitor.web.api.access import requires
from monitor.web.errors import RequestRefused


class SilenceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which silences; current and upcoming ones without a state."""

    state: Literal["current", "upcoming", "past"] | None = None


class NewSilence(msgspec.Struct, forbid_unknown_fields=True):
    """A silence to start: `ends_at` or `duration_seconds`; from now on without `starts_at`."""

    matchers: list[str]
    comment: str
    starts_at: str | None = None
    ends_at: str | None = None
    duration_seconds: Annotated[float, Meta(gt=0, le=LONGEST / SECOND)] | None = None


class SilenceShape(msgspec.Struct):
    """Moments are RFC 3339 in UTC."""

    id: int
    state: Phase
    matchers: list[str]
    starts_at: str
    ends_at: str
    comment: str
    created_by: str
    created_at: str


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """Lists, starts and ends silences."""
    api = Blueprint("api_silences", __name__, url_prefix="/api/v1/silences")

    @api.get("")
    @requires("viewer")
    def listed() -> Response:
        asked, now = body.query(SilenceQuery), clock.now()
        rows = silences.listed(engine, asked.state, now)
        return body.reply({"silences": [_shape(row, now) for row in rows]})

    @api.get("/<int:number>")
    @requires("viewer")
    def one(number: int) -> Response:
        return body.reply(_shape(silences.find(engine, number), clock.now()))

    @api.post("")
    @requires("operator")
    def start() -> Response:
        wanted, now = body.read(NewSilence), clock.now()
        starts_at = now if wanted.starts_at is None else moment("starts_at", wanted.starts_at)
        if (wanted.ends_at is None) == (wanted.duration_seconds is None):
            raise RequestRefused(
                400, "is required unless duration_seconds is given; not both", "ends_at"
            )
        if wanted.ends_at is not None:
            ends_at = moment("ends_at", wanted.ends_at)
        else:
            ends_at = starts_at + round((wanted.duration_seconds or 0) * SECOND)
        row = silences.start(
            engine, g.principal, wanted.matchers, starts_at, ends_at, wanted.comment, now
        )
        return body.reply(_shape(row, now), 201)

    @api.post("/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        return body.reply(_shape(silences.end(engine, g.principal, number, now), now))

    return api


def moment(field: str, text: str) -> int:
    """The moment of an RFC 3339 time. Raises RequestRefused."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise RequestRefused(400, f"must be like 2026-11-23T03:42:00Z: {error}", field) from error


def _shape(row: SilenceRow, now: int) -> SilenceShape:
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
