"""Administering tokens."""

from flask import Blueprint
from sqlalchemy import Engine

from monitor.clock import Clock


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """`/admin/tokens`."""
    return Blueprint("admin_tokens", __name__)
