"""The pages of incidents: what is out, what was, and what became of it."""

from datetime import tzinfo

from flask import Blueprint
from sqlalchemy import Engine

from monitor.clock import Clock


def blueprint(engine: Engine, clock: Clock, zone: tzinfo) -> Blueprint:
    """`/incidents` and `/incidents/<number>`; moments by the clocks of `zone`."""
    return Blueprint("incidents", __name__)
