"""The app with a small fleet and an operator, and requests that operators send."""

from typing import Any

from flask import Flask

from monitor.state import audit
from monitor.state.database import reading
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import BROWSER, Visitor, add_user, logged_in

NASTY = "<script>alert(1)</script>"
BOILER, PUMP, STRANGE = 0x02_00_00_00_00_0A, 0x02_00_00_00_00_0B, 0x02_00_00_00_00_0C


def build_operator_app(rig: Rig, **options: Any) -> Flask:
    """The app with a viewer, an operator and three sensors; `options`: of `build_context`."""
    for role in ("viewer", "operator"):
        add_user(rig.engine, role, role)
    rig.configure(BOILER, name="Boiler", site="Cellar", labels={"floor": "-1"})
    rig.configure(PUMP, name="Pump", site="Harbour")
    rig.configure(STRANGE, name=NASTY, site=NASTY, labels={"note": NASTY})
    given = {"base_url": BASE, "local": False, **options}
    return rig.build_app(**given)


def trail(rig: Rig) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(user, action, subject, detail) of each audit entry, the newest first."""
    with reading(rig.engine) as connection:
        entries = audit.listed(connection, 100)
    return [(one.who, one.what, one.subject, one.detail) for one in entries]


def assert_refused(app: Flask, path: str, form: dict[str, str], role: str = "operator") -> None:
    """Assert that a viewer can't post this form, and the role only from the service's own pages."""
    viewer, allowed = logged_in(app, "viewer"), logged_in(app, role)
    assert viewer.post(path, form).status_code == 403
    assert app.test_client().post(path, data=form).status_code == 401
    token = allowed.token("/account")
    for headers in (
        BROWSER,
        BROWSER | {"Origin": "https://elsewhere.example", "X-CSRF-Token": token},
        BROWSER | {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token},
    ):
        answer = allowed.client.post(path, data=form, headers=headers, base_url=BASE)
        assert answer.status_code in (400, 403)


def operator_of(app: Flask) -> Visitor:
    """A client that is logged in as the operator."""
    return logged_in(app, "operator")
