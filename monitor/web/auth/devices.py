"""Browsers in which a person has logged in before: no one else's guesses keep them out.

OWASP's device cookies: such a browser has failures of its own, so that guesses made elsewhere do
not delay its owner, and a stolen cookie allows no more guesses than any other place does. It proves
nothing by itself: the password is asked for all the same.
"""

import secrets

from flask import Response, after_this_request, request

from monitor.state.users import User
from monitor.web.auth.people import People

_PURPOSE = "device"
_YEAR = 365 * 24 * 3600


def remember(people: People, person: User) -> None:
    """Have the answer to this request mark the browser as one of this person's."""
    mark = mark_of(people, person) or secrets.token_urlsafe(16)
    signed = people.vault.sign(_PURPOSE, {"u": person.id, "m": mark})

    @after_this_request
    def marked(response: Response) -> Response:
        response.set_cookie(
            _name(people),
            signed,
            max_age=_YEAR,
            secure=people.https,
            httponly=True,
            samesite="Lax",
        )
        return response


def mark_of(people: People, person: User) -> str | None:
    """What tells this browser from the person's others; None: they never logged in with it."""
    payload = people.vault.verify(_PURPOSE, request.cookies.get(_name(people), ""))
    if payload is None or payload["u"] != person.id:
        return None
    mark: str = payload["m"]
    return mark


def _name(people: People) -> str:
    return "__Host-monitor-device" if people.https else "monitor-device"
