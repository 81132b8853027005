"""What operators do about incidents, one or many: acknowledge them, silence their sensors."""

from collections.abc import Callable, Iterable

from flask import Blueprint, flash, g, redirect, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.incidents import planning
from monitor.incidents.acknowledge import Acknowledged, acknowledge
from monitor.incidents.planning import described
from monitor.incidents.silence import Unusable
from monitor.model import DAY, HOUR
from monitor.outbox.wording import duration, number
from monitor.state import audit, ledger, silences
from monitor.state.database import writing
from monitor.web.api import body
from monitor.web.auth.access import requires
from monitor.web.incident_filters import Filters

DURATIONS = {str(each): duration(each) for each in (HOUR, 4 * HOUR, DAY, 7 * DAY)}
"""How long a silence may last, by what the form sends (ms)."""

_FIELDS = {"ends_at": "How long", "comment": "Why"}
_MOST = 1_000
"""Incidents that one form may name."""


class _Refused(Exception):
    """Nothing is done; the text is for whoever sent the form."""

    def __init__(self, problem: str, field: str) -> None:
        super().__init__(problem)
        self.field = field


def add_to(
    pages: Blueprint,
    engine: Engine,
    clock: Clock,
    listing: Callable[[int, str, str], Response],
    one: Callable[[int, int, str, str], Response],
) -> None:
    """`/incidents/acknowledge` and `/incidents/silence`; `listing` and `one` show the page that the
    form was on once more: ([number,] status, problem, field at fault)."""

    def again(problem: str, field: str) -> Response:
        page = _page()
        return listing(400, problem, field) if page is None else one(page, 400, problem, field)

    def back() -> Response:
        page = _page()
        if page is not None:
            return redirect(url_for("incidents.page", number=page), 303)
        return redirect(Filters.read().address(), 303)

    @pages.post("/incidents/acknowledge")
    @requires("operator")
    def acknowledge_them() -> Response:
        try:
            ids = _chosen()
        except _Refused as error:
            return again(str(error), error.field)
        with writing(engine) as connection:
            outcome = acknowledge(connection, ids, g.principal, clock.now())
            audit.acknowledged(connection, g.principal, outcome.done)
        flash(_told(outcome))
        return back()

    @pages.post("/incidents/silence")
    @requires("operator")
    def silence_them() -> Response:
        try:
            ids = _chosen()
            with writing(engine) as connection:
                macs = {case.mac for case in ledger.named(connection, ids)}
                until = _silence(connection, macs, clock.now())
        except (_Refused, Unusable) as error:
            field = error.field
            told = f"{_FIELDS[field]}: {error}." if field in _FIELDS else str(error)
            return again(told, field)
        flash(f"{_counted(len(macs), 'sensor')} silenced for {until}.")
        return back()


def _silence(connection: Connection, macs: Iterable[int], now: int) -> str:
    """How long, in words."""
    length = request.form.get("lasts", "")
    if length not in DURATIONS:
        raise Unusable("ends_at", "choose one of those offered")
    if not macs:
        raise _Refused("Those incidents are no longer there.", "id")
    comment = request.form.get("comment", "").replace("\0", "").strip()
    made = planning.silence_members(connection, macs, now + int(length), comment, g.principal, now)
    row = silences.find_silence(connection, made)
    if row is not None:
        audit.record(connection, g.principal, "silence begun", f"{made}", described(row))
    return DURATIONS[length]


def _page() -> int | None:
    """The number of the incident whose page the form was on."""
    text = request.form.get("page", "")
    return int(text) if text.isdecimal() and int(text) <= body.GREATEST_ID else None


def _chosen() -> list[int]:
    """The incidents that the form names. Raises _Refused."""
    texts = request.form.getlist("id")
    if not texts:
        raise _Refused("Choose at least one incident.", "id")
    if len(texts) > _MOST:
        raise _Refused(f"Choose {number(_MOST)} incidents at most.", "id")
    if not all(text.isdecimal() and int(text) <= body.GREATEST_ID for text in texts):
        raise _Refused("Choose incidents by their numbers.", "id")
    return [int(text) for text in texts]


def _told(outcome: Acknowledged) -> str:
    parts = [f"{_counted(len(outcome.done), 'incident')} acknowledged"]
    if outcome.earlier:
        parts.append(f"{number(len(outcome.earlier))} already so")
    if outcome.closed:
        parts.append(f"{number(len(outcome.closed))} over already")
    if outcome.unknown:
        parts.append(f"{number(len(outcome.unknown))} not found")
    return ", ".join(parts) + "."


def _counted(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"
