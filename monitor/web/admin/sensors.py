"""Administering sensors in bulk."""

from datetime import tzinfo

from flask import Blueprint
from sqlalchemy import Engine

from monitor.clock import Clock


def blueprint(engine: Engine, clock: Clock, zone: tzinfo) -> Blueprint:
    """`/admin/sensors`; moments by the clocks of `zone`."""
    return Blueprint("admin_sensors", __name__)
