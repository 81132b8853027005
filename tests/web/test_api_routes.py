"""Routes in the API."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.states import state, state_url
from tests.web.api_client import Api, apis

__all__ = ["state", "state_url"]

NIGHT = {
    "name": "night",
    "matchers": ["site=Harbour", "severity=critical"],
    "channels": ["email"],
    "escalate_to": ["browsers"],
    "escalate_after_seconds": 900,
}


@pytest.fixture
def api(state: Engine) -> Api:
    return apis(state, own_channels={"email": None, "webhook": None})["administrator"]


def order(api: Api) -> list[str]:
    return [route["name"] for route in api.call("GET", "/routes").get_json()["routes"]]


def test_route_is_added_listed_changed_and_removed(api: Api) -> None:
    shape = {**NIGHT, "position": 1, "escalate_after_seconds": 900.0}
    added = api.call("POST", "/routes", NIGHT)
    assert (added.status_code, added.get_json()) == (201, shape)
    assert api.call("GET", "/routes").get_json() == {"routes": [shape]}
    changed = api.call("PUT", "/routes/night", {"channels": ["webhook"]})
    assert changed.get_json() == {
        "name": "night",
        "position": 1,
        "matchers": [],
        "channels": ["webhook"],
        "escalate_to": [],
        "escalate_after_seconds": None,
    }
    assert api.call("DELETE", "/routes/night").status_code == 204
    assert order(api) == []


def test_routes_are_reordered(api: Api) -> None:
    for name in ("a", "b"):
        api.call("POST", "/routes", {"name": name, "channels": ["email"]})
    api.call("POST", "/routes", {"name": "c", "channels": ["email"], "position": 1})
    assert order(api) == ["c", "a", "b"]
    api.call("PUT", "/routes", {"order": ["a", "b", "c"]})
    assert order(api) == ["a", "b", "c"]
    field, detail = api.refused(400, "PUT", "/routes", {"order": ["a", "b"]})
    assert (field, detail) == ("order", "the order must list each route exactly once")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "a/b"}, "name", "letters"),
        ({"name": ""}, "name", "letters"),
        ({"matchers": ["site"]}, "matchers", "'site'"),
        ({"channels": []}, "channels", "at least one"),
        ({"channels": ["pager"]}, "channels", "'pager'"),
        ({"channels": ["email", "email"]}, "channels", "twice"),
        ({"escalate_to": ["pager"]}, "escalate_to", "'pager'"),
        ({"escalate_to": []}, "escalate_after_seconds", "together"),
        ({"escalate_after_seconds": None}, "escalate_after_seconds", "together"),
        ({"escalate_after_seconds": 0}, "escalate_after_seconds", ">= 1"),
        ({"position": 0}, "position", ">= 1"),
        ({"colour": "red"}, "colour", "unknown"),
    ],
)
def test_invalid_route_is_refused_and_the_field_named(
    api: Api, change: dict[str, Any], field: str, words: str
) -> None:
    named, detail = api.refused(400, "POST", "/routes", NIGHT | change)
    assert named == field
    assert words in detail
    assert order(api) == []


def test_name_in_use_returns_409_and_unknown_name_404(api: Api) -> None:
    api.call("POST", "/routes", NIGHT)
    assert api.refused(409, "POST", "/routes", NIGHT)[0] == "name"
    api.refused(404, "PUT", "/routes/day", {"channels": ["email"]})
    api.refused(404, "DELETE", "/routes/day")


def test_only_administrators_can_read_and_change_routes(state: Engine) -> None:
    by_role = apis(state, own_channels={"email": None})
    for role in ("viewer", "operator"):
        for method, path in (("GET", ""), ("POST", ""), ("PUT", "/night"), ("DELETE", "/night")):
            by_role[role].refused(403, method, f"/routes{path}", NIGHT)
