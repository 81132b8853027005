"""Browsers in which a user has logged in before: wrong passwords elsewhere don't lock them out.

These are the device cookies of OWASP. Failed attempts in such a browser are counted separately, so
that attempts made elsewhere do not delay its user, and a stolen cookie allows no more attempts than
another browser has. The cookie does not replace the password.
"""

import secrets

from flask import Response, after_this_request, request

from monitor.state.users import User
from monitor.web.context import context

_PURPOSE = "device"
_YEAR = 365 * 24 * 3600


def remember(user: User) -> None:
    """Set the cookie that marks the browser as this user's, in the response to this request."""
    mark = mark_of(user) or secrets.token_urlsafe(16)
    signed = context().vault.sign(_PURPOSE, {"u": user.id, "m": mark})

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            _name(),
            signed,
            max_age=_YEAR,
            secure=context().https,
            httponly=True,
            samesite="Lax",
        )
        return response


def mark_of(user: User) -> str | None:
    """The mark of this browser; None if the user has not logged in with it."""
    payload = context().vault.verify(_PURPOSE, request.cookies.get(_name(), ""))
    if payload is None or payload["u"] != user.id:
        return None
    mark: str = payload["m"]
    return mark


def _name() -> str:
    return "__Host-monitor-device" if context().https else "monitor-device"
