"""The page of the link in a message, where recipients acknowledge or silence without a login.

Links are signed and work for 48 hours. Opening a link changes nothing, because programs that show
previews open links too; only the page's buttons do.
"""

from typing import NamedTuple

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response as AnyResponse

from monitor.incidents import machine
from monitor.incidents.machine import IncidentState
from monitor.incidents.timeline import answered_by, ending
from monitor.model import HOUR, IncidentView, format_mac
from monitor.outbox.acknowledge_link import LIFETIME, PATH, PURPOSE
from monitor.outbox.wording import clean
from monitor.services import incidents, silences
from monitor.state import ledger
from monitor.state.database import reading
from monitor.state.ledger import SentMessage
from monitor.web.auth.access import public
from monitor.web.context import context
from monitor.web.responses import html

SILENCE = 4 * HOUR
"""How long the silence of the page's button lasts (ms)."""

_LISTED = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


class _Group(NamedTuple):
    """Incidents of a message with one state, as the page lists them."""

    title: str
    lines: list[tuple[str, str, int]]
    """(sensor, status, since when in ms)"""
    more: int


class _Invalid(Exception):
    """The link can't be used; the texts explain why."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail


blueprint = Blueprint("acknowledge", __name__)


@blueprint.get(PATH + "<token>")
@public
def page(token: str) -> Response:
    now = context().clock.now()
    with reading(context().engine) as connection:
        message = _message(connection, token, now)
        quiet_until = silences.lasting_until(connection, _actor(message), _comment(message), now)
    return html(
        render_template(
            "incidents/acknowledge.html",
            message=message,
            groups=_groups(message.cases),
            open=[case for case in message.cases if _state(case) is IncidentState.OPEN],
            can_silence=_can_be_silenced(message),
            quiet_until=quiet_until,
        )
    )


@blueprint.post(PATH + "<token>")
@public
def answer(token: str) -> AnyResponse:
    now = context().clock.now()
    with reading(context().engine) as connection:
        message = _message(connection, token, now)
    actor = _actor(message)
    if request.form.get("answer") == "acknowledge":
        incidents.acknowledge(context().engine, actor, [case.id for case in message.cases], now)
    elif request.form.get("answer") == "silence" and _can_be_silenced(message):
        macs = {case.mac for case in message.cases}
        silences.start_once(
            context().engine, actor, message.group_id, macs, now + SILENCE, _comment(message), now
        )
    return redirect(url_for("acknowledge.page", token=token), 303)


@blueprint.errorhandler(_Invalid)
def invalid(error: _Invalid) -> Response:
    return html(
        render_template(
            "incidents/acknowledge_result.html", title=error.title, detail=error.detail
        ),
        error.status,
    )


@blueprint.after_app_request
def private(response: Response) -> Response:
    if request.path.startswith(PATH):
        response.headers.update(_HEADERS)
    return response


def _message(connection: Connection, token: str, now: int) -> SentMessage:
    """The message that a link belongs to. Raises _Invalid."""
    payload = context().vault.verify(PURPOSE, token)
    if payload is not None and payload["e"] <= now:
        raise _Invalid(
            410,
            "This link has expired",
            f"Links in messages work for {LIFETIME // HOUR} hours. Nothing was changed. "
            "Use the link in a newer message.",
        )
    message = None if payload is None else ledger.message(connection, payload["n"])
    if payload is None or message is None or message.channel != payload["c"]:
        raise _Invalid(
            404,
            "This link is not valid",
            "It may have been shortened or changed on its way. Nothing was changed. "
            "Open it again from the message.",
        )
    return message


def _actor(message: SentMessage) -> str:
    return f"{message.channel} by link"


def _can_be_silenced(message: SentMessage) -> bool:
    return message.kind == "flapping" or any(case.closed_at is None for case in message.cases)


def _comment(message: SentMessage) -> str:
    return f"by the link in message {message.id}"


def _groups(cases: list[IncidentView]) -> list[_Group]:
    """The incidents by state; first those that are not acknowledged."""
    titles = {
        IncidentState.OPEN: "Silent now",
        IncidentState.ACKNOWLEDGED: "Acknowledged",
        IncidentState.CLOSED: "Closed",
    }
    groups = []
    for state, title in titles.items():
        members = [case for case in cases if _state(case) is state]
        lines = [(_sensor(case), *_status(case)) for case in members[:_LISTED]]
        if lines:
            groups.append(_Group(f"{title} ({len(members)})", lines, len(members) - len(lines)))
    return groups


def _state(case: IncidentView) -> IncidentState:
    return machine.state_of(case.acknowledged_at, case.closed_at)


def _sensor(case: IncidentView) -> str:
    site = f" at {clean(case.site)}" if case.site else ""
    return (clean(case.name or "") or format_mac(case.mac)) + site


def _status(case: IncidentView) -> tuple[str, int]:
    if case.closed_at is not None:
        return f"{ending(case)},", case.recovered_at or case.closed_at
    if case.acknowledged_at is not None:
        return f"by {clean(answered_by(case))},", case.acknowledged_at
    return "last seen", case.last_seen
