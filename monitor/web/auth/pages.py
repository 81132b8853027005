"""The people's own pages."""

from datetime import tzinfo

from flask import Blueprint

from monitor.web.auth import account, administration, login
from monitor.web.auth.people import People


def blueprint(people: People, zone: tzinfo) -> Blueprint:
    """Logging in and out, one's account, users and the audit trail; moments by the clocks of
    `zone`."""
    pages = Blueprint("people", __name__)
    login.add_to(pages, people)
    account.add_to(pages, people, zone)
    administration.add_to(pages, people, zone)
    return pages
