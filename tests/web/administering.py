"""Pages of administrators, and who opens them."""

from flask import Blueprint, Flask

from tests.web.fleet_rig import Rig
from tests.web.operating import operated
from tests.web.visitors import BASE, BROWSER, Visitor, add_user, logged_in


def administered(rig: Rig, *blueprints: Blueprint) -> Flask:
    """With a viewer, an operator and an administrator of these names."""
    add_user(rig.engine, "administrator", "administrator")
    return operated(rig, *blueprints)


def administrator_of(app: Flask) -> Visitor:
    """Logged in."""
    return logged_in(app, "administrator")


def refuses(app: Flask, path: str, form: dict[str, str]) -> None:
    """That nobody posts this but an administrator, from our own pages."""
    for name in ("viewer", "operator"):
        assert logged_in(app, name).post(path, form).status_code == 403
    assert app.test_client().post(path, data=form).status_code == 401
    visitor = administrator_of(app)
    token = visitor.token("/account")
    for headers in (
        BROWSER,
        BROWSER | {"Origin": "https://elsewhere.example", "X-CSRF-Token": token},
        BROWSER | {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token},
    ):
        answer = visitor.client.post(path, data=form, headers=headers, base_url=BASE)
        assert answer.status_code == 403
