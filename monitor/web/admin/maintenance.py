"""Administering maintenance windows."""

from datetime import tzinfo

from flask import Blueprint
from sqlalchemy import Engine

from monitor.clock import Clock


def blueprint(engine: Engine, clock: Clock, zone: tzinfo) -> Blueprint:
    """`/admin/maintenance`; moments by the clocks of `zone`."""
    return Blueprint("admin_maintenance", __name__)
