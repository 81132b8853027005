"""Routes and their order."""

import pytest
from sqlalchemy import Engine

from monitor.errors import Conflict
from monitor.state import routes, routing
from monitor.state.database import reading, writing
from monitor.state.routing import RouteRow


def route(name: str, *channels: str, escalate_to: tuple[str, ...] = ()) -> RouteRow:
    return RouteRow(name, [f"site={name}"], list(channels), list(escalate_to), None)


@pytest.fixture
def three(state: Engine) -> Engine:
    """Routes a, b and c."""
    with writing(state) as connection:
        for name in "abc":
            routes.add(connection, route(name, "email"))
    return state


def order(state: Engine) -> str:
    with reading(state) as connection:
        return "".join(row.name for row in routing.routes(connection))


def test_routes_are_listed_in_the_order_added(three: Engine) -> None:
    assert order(three) == "abc"
    with reading(three) as connection:
        assert routing.routes(connection)[0] == route("a", "email")


@pytest.mark.parametrize(("position", "expected"), [(1, "dabc"), (3, "abdc"), (9, "abcd")])
def test_route_is_inserted_at_the_given_position(
    three: Engine, position: int, expected: str
) -> None:
    with writing(three) as connection:
        routes.add(connection, route("d", "email"), position)
    assert order(three) == expected


def test_order_must_list_every_route(three: Engine) -> None:
    with writing(three) as connection:
        routes.arrange(connection, ["c", "a", "b"])
        for wrong in (["a", "b"], ["a", "b", "c", "d"], ["a", "b", "b"]):
            with pytest.raises(ValueError, match="each route exactly once"):
                routes.arrange(connection, wrong)
    assert order(three) == "cab"


def test_replaced_route_keeps_its_position(three: Engine) -> None:
    with writing(three) as connection:
        assert routes.replace(connection, route("b", "webhook"))
        assert not routes.replace(connection, route("x", "webhook"))
    with reading(three) as connection:
        assert routing.routes(connection)[1] == route("b", "webhook")


def test_remove_returns_false_for_an_unknown_route(three: Engine) -> None:
    with writing(three) as connection:
        assert routes.remove(connection, "b")
        assert not routes.remove(connection, "b")
    assert order(three) == "ac"


def test_route_name_in_use_is_refused(three: Engine) -> None:
    with pytest.raises(Conflict, match="route named 'a'"), writing(three) as connection:
        routes.add(connection, route("a", "email"))


def test_routes_of_a_channel_are_listed(three: Engine) -> None:
    with writing(three) as connection:
        routes.add(connection, route("d", "night", escalate_to=("boss",)))
        assert routes.leading_to(connection, "email") == ["a", "b", "c"]
        assert routes.leading_to(connection, "boss") == ["d"]
        assert routes.leading_to(connection, "nobody") == []
