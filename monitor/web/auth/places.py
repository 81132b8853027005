"""The links of the navigation: the pages that the current user may open."""

from typing import NamedTuple

from flask import Flask

from monitor.web.auth.principal import Principal


class Place(NamedTuple):
    """A page and the role that it requires."""

    path: str
    title: str
    role: str


MAIN = (
    Place("/", "Grid", "viewer"),
    Place("/incidents", "Incidents", "viewer"),
)
ADMINISTRATION = (
    Place("/admin/silences", "Silences", "operator"),
    Place("/admin/maintenance", "Maintenance", "operator"),
    Place("/admin/sensors", "Sensors", "operator"),
    Place("/admin/channels", "Channels", "administrator"),
    Place("/admin/routes", "Routes", "administrator"),
    Place("/admin/public", "Public pages", "administrator"),
    Place("/admin/tokens", "Tokens", "administrator"),
    Place("/admin/users", "Users", "administrator"),
    Place("/admin/audit", "Audit trail", "administrator"),
)


def open_to(app: Flask, principal: Principal) -> dict[str, list[Place]]:
    """The navigation's links, for templates."""
    there = {rule.rule for rule in app.url_map.iter_rules()}

    def open_ones(places: tuple[Place, ...]) -> list[Place]:
        return [place for place in places if place.path in there and principal.may(place.role)]

    return {"main_places": open_ones(MAIN), "administration_places": open_ones(ADMINISTRATION)}
