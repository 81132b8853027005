"""Administering routes."""

from collections.abc import Collection

from flask import Blueprint
from sqlalchemy import Engine


def blueprint(engine: Engine, own: Collection[str]) -> Blueprint:
    """`/admin/routes`; `own`: names of the channels in the settings."""
    return Blueprint("admin_routes", __name__)
