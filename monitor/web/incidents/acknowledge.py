"""The link in a message: whoever got it says that they know of it, from a phone, without a login.

A link works for 48 hours and only as we signed it. Opening it changes nothing, since programs that
show previews open links; only its buttons do.
"""

from typing import NamedTuple

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response as AnyResponse

from monitor.clock import Clock
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
from monitor.vault import Vault
from monitor.web.auth.access import public

SILENCE = 4 * HOUR
"""How long its silence lasts (ms)."""

_LISTED = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


class _Group(NamedTuple):
    """Some members of a message, as the page lists them."""

    title: str
    lines: list[tuple[str, str, int]]
    """(which sensor, how it is, since when)"""
    more: int


class _Invalid(Exception):
    """The link leads nowhere; the texts say why, to a person."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail


def blueprint(engine: Engine, clock: Clock, vault: Vault) -> Blueprint:
    """The page behind the link, and what its buttons do."""
    pages = Blueprint("acknowledge", __name__)

    @pages.get(PATH + "<token>")
    @public
    def page(token: str) -> Response:
        with reading(engine) as connection:
            message = _meant(connection, vault, token, clock.now())
            quiet_until = silences.lasting_until(
                connection, _by(message), _comment(message), clock.now()
            )
        return _html(
            render_template(
                "incidents/acknowledge.html",
                message=message,
                groups=_groups(message.cases),
                open=[case for case in message.cases if _state(case) is IncidentState.OPEN],
                can_silence=_can_be_silenced(message),
                quiet_until=quiet_until,
            )
        )

    @pages.post(PATH + "<token>")
    @public
    def answer(token: str) -> AnyResponse:
        now = clock.now()
        with reading(engine) as connection:
            message = _meant(connection, vault, token, now)
        actor = _by(message)
        if request.form.get("answer") == "acknowledge":
            incidents.acknowledge(engine, actor, [case.id for case in message.cases], now)
        elif request.form.get("answer") == "silence" and _can_be_silenced(message):
            macs = {case.mac for case in message.cases}
            silences.start_once(
                engine, actor, message.group_id, macs, now + SILENCE, _comment(message), now
            )
        return redirect(url_for("acknowledge.page", token=token), 303)

    @pages.errorhandler(_Invalid)
    def invalid(error: _Invalid) -> Response:
        return _html(
            render_template(
                "incidents/acknowledge_result.html", title=error.title, detail=error.detail
            ),
            error.status,
        )

    @pages.after_app_request
    def private(response: Response) -> Response:
        if request.path.startswith(PATH):
            response.headers.update(_HEADERS)
        return response

    return pages


def _meant(connection: Connection, vault: Vault, token: str, now: int) -> SentMessage:
    """The message that a link belongs to. Raises _Invalid."""
    payload = vault.verify(PURPOSE, token)
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


def _by(message: SentMessage) -> str:
    return f"{message.channel} by link"


def _can_be_silenced(message: SentMessage) -> bool:
    return message.kind == "flapping" or any(case.closed_at is None for case in message.cases)


def _comment(message: SentMessage) -> str:
    return f"by the link in message {message.id}"


def _groups(cases: list[IncidentView]) -> list[_Group]:
    """The members by state: first those that are not acknowledged."""
    titles = {
        IncidentState.OPEN: "Silent now",
        IncidentState.ACKNOWLEDGED: "Acknowledged",
        IncidentState.CLOSED: "Over",
    }
    groups = []
    for state, title in titles.items():
        members = [case for case in cases if _state(case) is state]
        lines = [(_called(case), *_stand(case)) for case in members[:_LISTED]]
        if lines:
            groups.append(_Group(f"{title} ({len(members)})", lines, len(members) - len(lines)))
    return groups


def _state(case: IncidentView) -> IncidentState:
    return machine.state_of(case.acknowledged_at, case.closed_at)


def _called(case: IncidentView) -> str:
    site = f" at {clean(case.site)}" if case.site else ""
    return (clean(case.name or "") or format_mac(case.mac)) + site


def _stand(case: IncidentView) -> tuple[str, int]:
    if case.closed_at is not None:
        return f"{ending(case)},", case.recovered_at or case.closed_at
    if case.acknowledged_at is not None:
        return f"by {clean(answered_by(case))},", case.acknowledged_at
    return "last seen", case.last_seen


def _html(page: str, status: int = 200) -> Response:
    return Response(page, status, content_type="text/html; charset=utf-8")
