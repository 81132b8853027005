"""The people's own pages."""

from flask import Blueprint, Flask

from monitor.web.auth import account, administration, login
from monitor.web.auth.people import People


def add_to(app: Flask, people: People) -> None:
    """Logging in and out, one's account, users and the audit trail."""
    pages = Blueprint("people", __name__)
    login.add_to(pages, people)
    account.add_to(pages, people)
    administration.add_to(pages, people)
    if people.provider is not None:
        from monitor.web.auth import oidc  # Authlib takes 10 MB

        oidc.add_to(pages, app, people, people.provider)
    app.register_blueprint(pages)
