"""Recomputes the counters of metrics from existing rows, as the migration that added them does."""

import importlib

from sqlalchemy import Engine, delete

from monitor.state import tally
from monitor.state.database import reading, writing
from monitor.state.tables import tally as table
from monitor.state.tally import Labels

_count = importlib.import_module("monitor.state.migrations.versions.0018_tally").count


def recount(state: Engine) -> None:
    """Replace the counters."""
    with writing(state) as connection:
        connection.execute(delete(table))
        _count(connection)


def counted(state: Engine) -> dict[str, dict[Labels, int]]:
    """The counters: name -> labels -> amount."""
    with reading(state) as connection:
        return {name: dict(amounts) for name, amounts in tally.totals(connection).items()}
