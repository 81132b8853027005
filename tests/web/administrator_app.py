"""The app with an administrator, and requests that administrators send."""

from typing import Any

from flask import Flask

from tests.web import operator_app
from tests.web.fleet_rig import Rig
from tests.web.visitors import Visitor, add_user, logged_in


def build_administrator_app(rig: Rig, **options: Any) -> Flask:
    """The app with a viewer, an operator and an administrator, named after their roles."""
    add_user(rig.engine, "administrator", "administrator")
    return operator_app.build_operator_app(rig, **options)


def administrator_of(app: Flask) -> Visitor:
    """A client that is logged in as the administrator."""
    return logged_in(app, "administrator")


def assert_refused(app: Flask, path: str, form: dict[str, str]) -> None:
    """Assert that only an administrator can post this form, and only from the service's own
    pages."""
    assert logged_in(app, "operator").post(path, form).status_code == 403
    operator_app.assert_refused(app, path, form, "administrator")
