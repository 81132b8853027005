"""Who may call the API: tokens and logins with roles."""

from flask import Flask
from sqlalchemy import Engine

from monitor.web.auth.access import requires
from monitor.web.auth.people import STATE

__all__ = ["check_tokens_in", "requires"]


def check_tokens_in(app: Flask, engine: Engine) -> None:
    """Let the views of this app that `requires` guards look up tokens here."""
    app.extensions[STATE] = engine
