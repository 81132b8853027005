"""The administration page of routes."""

import html

import pytest
from flask import Flask

from monitor.model import MINUTE
from monitor.state import routing
from monitor.state.channels import Stored, add
from monitor.state.database import reading, writing
from monitor.state.routes import add as add_route
from monitor.state.routing import RouteRow
from monitor.vault import Vault
from tests.web.administrator_app import administrator_of, assert_refused, build_administrator_app
from tests.web.fleet_rig import Rig
from tests.web.operator_app import NASTY, trail
from tests.web.visitors import Visitor

PATH = "/admin/routes"
CELLAR = {"matchers": "site=Cellar\n\nname=Boil*", "channel": "pager"}


@pytest.fixture
def app(rig: Rig) -> Flask:
    with writing(rig.engine) as connection:
        for name in ("pager", "spare"):
            url = {"url": "https://x.org"}
            add(connection, Vault("k" * 32), Stored(name, "webhook", url, {}, name == "pager"))
    return build_administrator_app(rig, own_channels={"email": None})


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return administrator_of(app)


def routes(rig: Rig) -> list[RouteRow]:
    with reading(rig.engine) as connection:
        return routing.routes(connection)


def test_route_is_added_changed_and_removed(rig: Rig, visitor: Visitor) -> None:
    assert visitor.post(PATH, {"name": "night", **CELLAR}, PATH).location == PATH
    assert routes(rig) == [
        RouteRow("night", ["site=Cellar", "name=Boil*"], ["pager"], [], None),
    ]
    page = visitor.get(PATH).text
    assert "Route night created" in page
    assert "notifies pager" in page
    changed = {"matchers": f"site={NASTY}", "escalate": "pager", "after": "7.5"}
    visitor.post(f"{PATH}/night", {**changed, "channel": ["email", "browsers"]}, PATH)
    assert routes(rig) == [
        RouteRow("night", [f"site={NASTY}"], ["email", "browsers"], ["pager"], 15 * MINUTE // 2)
    ]
    page = visitor.get(PATH).text
    assert html.escape(f"site={NASTY}") in page
    assert "escalates to pager after 7 min 30 s" in page
    assert 'value="7.5"' in page
    assert visitor.post(f"{PATH}/night/remove", {}, PATH).status_code == 400
    visitor.post(f"{PATH}/night/remove", {"sure": "yes"}, PATH)
    assert routes(rig) == []
    whats = [what for _who, what, _of, _detail in trail(rig)]
    assert whats == ["route removed", "route changed", "route created"]


def test_route_is_moved_up_and_down(rig: Rig, visitor: Visitor) -> None:
    for name in ("a", "b", "c"):
        visitor.post(PATH, {"name": name, **CELLAR}, PATH)
    visitor.post(f"{PATH}/c/up", {}, PATH)
    visitor.post(f"{PATH}/a/down", {}, PATH)
    assert [row.name for row in routes(rig)] == ["c", "a", "b"]
    visitor.post(f"{PATH}/c/up", {}, PATH)
    assert [row.name for row in routes(rig)] == ["c", "a", "b"]
    assert visitor.post(f"{PATH}/nothing/up", {}, PATH).status_code == 404


def test_disabled_and_removed_channels_are_marked(rig: Rig, visitor: Visitor) -> None:
    with writing(rig.engine) as connection:
        add_route(connection, RouteRow("night", [], ["spare", "former"], [], None))
    page = visitor.get(PATH).text
    assert 'checked> <span>spare <span class="faint">disabled</span>' in page
    assert 'checked> <span>former <span class="faint">no longer exists</span>' in page


def test_page_shows_the_route_and_channels_of_a_sensor(visitor: Visitor) -> None:
    visitor.post(PATH, {"name": "night", **CELLAR}, PATH)

    def tried(mac: str) -> str:
        return visitor.get(PATH, query_string={"mac": mac}).text

    assert "Alerts about Boiler match the route <b>night</b> and go to <b>pager</b>." in tried(
        "02:00:00:00:00:0a"
    )
    visitor.post(f"{PATH}/night", {**CELLAR, "escalate": "email", "after": "30"}, PATH)
    assert '<b>pager</b>, <b>email</b> <span class="faint">after 30 min</span>.' in tried(
        "02:00:00:00:00:0a"
    )
    assert "match no route and go to <b>email</b>." in tried("02-00-00-00-00-99")
    assert 'role="status">' in tried("nonsense")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"name": "so so", **CELLAR}, "Name: "),
        ({"name": "n", **CELLAR, "matchers": "nonsense"}, "Sensors: "),
        ({"name": "n", "matchers": "mac=*"}, "Notify: must include at least one channel."),
        ({"name": "n", **CELLAR, "channel": "gone"}, "Notify: must be channels that exist"),
        ({"name": "n", **CELLAR, "escalate": "email"}, "If not acknowledged after: "),
        (
            {"name": "n", **CELLAR, "escalate": "email", "after": "soon"},
            "If not acknowledged after: must be minutes, or a duration",
        ),
        (
            {"name": "n", **CELLAR, "escalate": "email", "after": "inf"},
            "If not acknowledged after: must be minutes, or a duration",
        ),
        (
            {"name": "n", **CELLAR, "escalate": "email", "after": "nan"},
            "If not acknowledged after: must be minutes, or a duration",
        ),
        (
            {"name": "n", **CELLAR, "escalate": "email", "after": "1000000000"},
            "If not acknowledged after: must be from",
        ),
    ],
)
def test_invalid_input_is_refused_and_kept_in_the_form(
    rig: Rig, visitor: Visitor, form: dict[str, str], error: str
) -> None:
    visitor.post(PATH, {"name": "there", **CELLAR}, PATH)
    for path in (PATH, f"{PATH}/there"):
        if path != PATH and error == "Name: ":
            continue
        answer = visitor.post(path, form, PATH)
        assert answer.status_code == 400
        assert error in answer.text
        assert f">{html.escape(form['matchers'])}</textarea>" in answer.text
    assert [row.name for row in routes(rig)] == ["there"]
    again = visitor.post(PATH, {"name": "there", **CELLAR}, PATH)
    assert "Name: there is already a route named" in again.text


def test_only_administrators_can_change_routes(app: Flask) -> None:
    assert_refused(app, PATH, {"name": "night", **CELLAR})
    for path in ("night", "night/up", "night/remove"):
        assert_refused(app, f"{PATH}/{path}", {**CELLAR, "sure": "yes"})
