"""/api/v1/ledger: what was sent, attempted and suppressed for each incident, and why."""

from typing import Annotated

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from monitor.model import parse_time
from monitor.state import ledger
from monitor.state.database import reading
from monitor.web.api import body
from monitor.web.api.incidents import mac_in
from monitor.web.api.shapes import ledger_shape, next_before
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.errors import RequestRefused

_MOST = 200


class LedgerQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which incidents, the newest first. `since` is RFC 3339: incidents open then or later."""

    site: str | None = None
    mac: str | None = None
    since: str | None = None
    before: body.Id | None = None
    limit: Annotated[int, Meta(ge=1, le=_MOST)] = 50


blueprint = Blueprint("api_ledger", __name__, url_prefix="/api/v1/ledger")


@blueprint.get("")
@requires("viewer")
def listed() -> Response:
    query = body.query(LedgerQuery)
    with reading(context().engine) as connection:
        found = ledger.cases(
            connection,
            query.limit,
            mac=mac_in("mac", query.mac),
            site=query.site,
            since=_moment("since", query.since),
            before=query.before,
        )
        facts = ledger.facts(connection, found)
    now = context().clock.now()
    return body.reply(
        {
            "incidents": [ledger_shape(fact, now) for fact in facts],
            "next_before": next_before(found, query.limit),
        }
    )


def _moment(field: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise RequestRefused(
            400, f"must be a time like 2026-11-23T03:42:00Z: {error}", field
        ) from error
