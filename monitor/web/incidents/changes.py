"""What operators do about incidents, one or many: acknowledge them, silence their sensors."""

from collections.abc import Callable

from flask import Blueprint, flash, g, redirect, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.errors import Invalid
from monitor.model import DAY, HOUR
from monitor.outbox.wording import counted, duration, number
from monitor.services import incidents, silences
from monitor.services.incidents import Acknowledged
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.incidents.filters import IncidentFilters

DURATIONS = {str(each): duration(each) for each in (HOUR, 4 * HOUR, DAY, 7 * DAY)}
"""How long a silence may last, by what the form sends (ms)."""

_WHICH = "id"
"""The field of the form that names incidents."""

_FIELDS = {"ends_at": "Duration", "comment": "Reason", _WHICH: "Incidents", "incident": "Incidents"}
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

    def again(error: Invalid) -> Response:
        page, field = _page(), error.field
        problem = f"{_FIELDS[field]}: {error}."
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
        except Invalid as error:
            return again(error)
        flash(_outcome(incidents.acknowledge(engine, g.principal, ids, clock.now())))
        return back()

    @pages.post("/incidents/silence")
    @requires("operator")
    def silence_them() -> Response:
        try:
            ids, length, now = _chosen(), _length(), clock.now()
            comment = forms.typed("comment")
            count = silences.start_for_incidents(
                engine, g.principal, ids, now + length, comment, now
            )
        except Invalid as error:
            return again(error)
        flash(f"{counted(count, 'sensor')} silenced for {duration(length)}.")
        return back()


def _length() -> int:
    """How long the silence lasts (ms). Raises Invalid."""
    length = forms.typed("lasts")
    if length not in DURATIONS:
        raise Invalid("ends_at", "must be one of the options")
    return int(length)


def _page() -> int | None:
    """The number of the incident whose page the form was on."""
    return forms.row_number(forms.typed("page"))


def _chosen() -> list[int]:
    """The incidents that the form names. Raises Invalid."""
    texts = request.form.getlist(_WHICH)
    if not texts:
        raise Invalid(_WHICH, "must include at least one incident")
    if len(texts) > _MOST:
        raise Invalid(_WHICH, f"must include at most {number(_MOST)} incidents")
    numbers = [found for text in texts if (found := forms.row_number(text)) is not None]
    if len(numbers) < len(texts):
        raise Invalid(_WHICH, "must be numbers")
    return numbers


def _outcome(outcome: Acknowledged) -> str:
    parts = [f"{counted(len(outcome.done), 'incident')} acknowledged"]
    if outcome.earlier:
        parts.append(f"{number(len(outcome.earlier))} already acknowledged")
    if outcome.closed:
        parts.append(f"{number(len(outcome.closed))} already closed")
    if outcome.unknown:
        parts.append(f"{number(len(outcome.unknown))} not found")
    return ", ".join(parts) + "."
