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
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.incidents.filters import IncidentFilters

DURATIONS = {str(each): duration(each) for each in (HOUR, 4 * HOUR, DAY, 7 * DAY)}
"""How long a silence may last, by what the form sends (ms)."""

_WHICH = "id"
"""The field of the form that names incidents; what is wrong with it is a sentence by itself."""

_FIELDS = {"ends_at": "How long", "comment": "Why"}
_MOST = 1_000
"""Incidents that one form may name."""


def add_to(
    pages: Blueprint,
    engine: Engine,
    clock: Clock,
    listing: Callable[[int, str, str], Response],
    one: Callable[[int, int, str, str], Response],
) -> None:
    """`/incidents/acknowledge` and `/incidents/silence`; `listing` and `one` show the page that the
    form was on once more: ([number,] status, problem, field at fault)."""

    def again(error: Unusable) -> Response:
        page, field = _page(), error.field
        problem = f"{_FIELDS[field]}: {error}." if field in _FIELDS else str(error)
        return listing(400, problem, field) if page is None else one(page, 400, problem, field)

    def back() -> Response:
        page = _page()
        if page is not None:
            return redirect(url_for("incidents.page", number=page), 303)
        return redirect(IncidentFilters.read().address(), 303)

    @pages.post("/incidents/acknowledge")
    @requires("operator")
    def acknowledge_them() -> Response:
        try:
            ids = _chosen()
        except Unusable as error:
            return again(error)
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
        except Unusable as error:
            return again(error)
        flash(f"{_counted(len(macs), 'sensor')} silenced for {until}.")
        return back()


def _silence(connection: Connection, macs: Iterable[int], now: int) -> str:
    """How long, in words. Raises Unusable."""
    length = forms.typed("lasts")
    if length not in DURATIONS:
        raise Unusable("ends_at", "choose one of those offered")
    if not macs:
        raise Unusable(_WHICH, "Those incidents are no longer there.")
    comment = forms.typed("comment").strip()
    made = planning.silence_members(connection, macs, now + int(length), comment, g.principal, now)
    row = silences.find_silence(connection, made)
    if row is not None:
        audit.record(connection, g.principal, "silence begun", f"{made}", described(row))
    return DURATIONS[length]


def _page() -> int | None:
    """The number of the incident whose page the form was on."""
    return forms.row_number(forms.typed("page"))


def _chosen() -> list[int]:
    """The incidents that the form names. Raises Unusable."""
    texts = request.form.getlist(_WHICH)
    if not texts:
        raise Unusable(_WHICH, "Choose at least one incident.")
    if len(texts) > _MOST:
        raise Unusable(_WHICH, f"Choose {number(_MOST)} incidents at most.")
    numbers = [found for text in texts if (found := forms.row_number(text)) is not None]
    if len(numbers) < len(texts):
        raise Unusable(_WHICH, "Choose incidents by their numbers.")
    return numbers


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
