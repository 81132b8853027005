"""The modules of views. Each has a `blueprint`; modules of one room may share it."""

from flask import Flask

from monitor.web import metrics
from monitor.web.admin import channels, maintenance, public_pages, routes, silences, tokens
from monitor.web.api import channels as api_channels
from monitor.web.api import history as api_history
from monitor.web.api import incidents as api_incidents
from monitor.web.api import ledger as api_ledger
from monitor.web.api import maintenance as api_maintenance
from monitor.web.api import routes as api_routes
from monitor.web.api import silences as api_silences
from monitor.web.api import webpush as api_webpush
from monitor.web.auth import account, administration, login, password_links
from monitor.web.context import of
from monitor.web.grid import views as grid
from monitor.web.incidents import acknowledge
from monitor.web.incidents import changes as incident_changes
from monitor.web.incidents import pages as incidents
from monitor.web.public import badges
from monitor.web.public import pages as public
from monitor.web.sensors import changes as sensor_changes
from monitor.web.sensors import csv_import
from monitor.web.sensors import page as sensor
from monitor.web.sensors import table as sensor_table

_MODULES = (
    grid,
    sensor,
    sensor_changes,
    sensor_table,
    csv_import,
    incidents,
    incident_changes,
    acknowledge,
    public,
    badges,
    login,
    password_links,
    account,
    administration,
    channels,
    maintenance,
    public_pages,
    routes,
    silences,
    tokens,
    api_channels,
    api_history,
    api_incidents,
    api_ledger,
    api_maintenance,
    api_routes,
    api_silences,
    api_webpush,
    metrics,
)


def register(app: Flask) -> None:
    """Add all views to the application."""
    for blueprint in dict.fromkeys(module.blueprint for module in _MODULES):
        app.register_blueprint(blueprint)
    provider = of(app).provider
    if provider is not None:
        from monitor.web.auth import oidc  # Authlib takes 10 MB of memory

        oidc.add_to(app, provider)
