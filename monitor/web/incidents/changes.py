"""What operators do about incidents: acknowledge them, silence their sensors."""

from flask import g, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Invalid
from monitor.outbox.wording import counted, duration, number
from monitor.services import incidents, silences
from monitor.services.incidents import Acknowledged
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.incidents.filters import IncidentFilters
from monitor.web.incidents.pages import blueprint, incident_page, list_page
from monitor.web.incidents.summary import DURATIONS
from monitor.web.responses import done
from monitor.web.sensors.page import sensor_page

_WHICH = "id"
"""The form's field with the ids of incidents."""

_FIELDS = {"ends_at": "Duration", "comment": "Reason", _WHICH: "Incidents", "incident": "Incidents"}
_MOST = 1_000
"""The maximum number of incidents in one form."""


@blueprint.post("/incidents/acknowledge")
@requires("operator")
def acknowledge_them() -> Response:
    try:
        ids = _chosen()
    except Invalid as error:
        return _with_problem(error)
    outcome = incidents.acknowledge(context().engine, g.principal, ids, context().clock.now())
    return done(_outcome(outcome), _location())


@blueprint.post("/incidents/silence")
@requires("operator")
def silence_them() -> Response:
    try:
        ids, length, now = _chosen(), _length(), context().clock.now()
        comment = forms.typed("comment")
        count = silences.start_for_incidents(
            context().engine, g.principal, ids, now + length, comment, now
        )
    except Invalid as error:
        return _with_problem(error)
    return done(f"{counted(count, 'sensor')} silenced for {duration(length)}.", _location())


def _with_problem(error: Invalid) -> Response:
    """The page that the form was on, with the problem."""
    number, field = _page(), error.field
    problem = f"{_FIELDS[field]}: {error}."
    if mac := forms.typed("sensor"):
        return sensor_page(mac, 400, problem, field)
    if number is None:
        return list_page(400, problem, field)
    return incident_page(number, 400, problem, field)


def _location() -> str:
    """The page that the form was on."""
    if mac := forms.typed("sensor"):
        return url_for("sensor.page", mac=mac)
    number = _page()
    if number is None:
        return IncidentFilters.read().address()
    return url_for("incidents.page", number=number)


def _length() -> int:
    """How long the silence lasts (ms). Raises Invalid."""
    length = forms.typed("lasts")
    if length not in DURATIONS:
        raise Invalid("ends_at", "must be one of the options")
    return int(length)


def _page() -> int | None:
    """The incident whose page the form was on; None for the list."""
    return forms.row_number(forms.typed("page"))


def _chosen() -> list[int]:
    """The ids in the form. Raises Invalid."""
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
