"""Pages of administrators, and who opens them."""

from typing import Any

from flask import Flask

from tests.web import operating
from tests.web.fleet_rig import Rig
from tests.web.visitors import Visitor, add_user, logged_in


def administered(rig: Rig, **options: Any) -> Flask:
    """With a viewer, an operator and an administrator of these names."""
    add_user(rig.engine, "administrator", "administrator")
    return operating.operated(rig, **options)


def administrator_of(app: Flask) -> Visitor:
    """Logged in."""
    return logged_in(app, "administrator")


def refuses(app: Flask, path: str, form: dict[str, str]) -> None:
    """Only an administrator can post this, and only from our own pages."""
    assert logged_in(app, "operator").post(path, form).status_code == 403
    operating.refuses(app, path, form, "administrator")
