"""What a state says, without the numbers and keys by which it says it."""

from collections.abc import Mapping

from sqlalchemy import Engine, RowMapping, select

from monitor.state.database import reading
from monitor.state.tables import metadata

_ONE_TRYS = frozenset({"key", "claimed_by", "claimed_until", "attempts"})
_LEFT_OUT = frozenset({"lease"})

Facts = Mapping[str, list[str]]


def facts(engine: Engine) -> Facts:
    """Table -> its rows as text; a row names others by what they say, not by their numbers, which
    a transaction that was rolled back used up."""
    said: dict[str, dict[int, str]] = {}
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        for table in metadata.sorted_tables:  # those that are referred to come first
            if table.name in _LEFT_OUT:
                continue
            said[table.name], found[table.name] = {}, []
            refers = {key.parent.name: key.column.table.name for key in table.foreign_keys}
            for row in connection.execute(select(table)).mappings():
                values = {name: row[name] for name in row if name not in _ONE_TRYS}
                number = values.pop("id", None)
                if _waits_for_another_try(row):
                    del values["next_attempt_at"]  # by chance, and the later the more tries
                for column, other in refers.items():
                    values[column] = said[other][values[column]]
                text = repr(sorted(values.items()))
                found[table.name].append(text)
                if number is not None:
                    said[table.name][number] = text
    return {name: sorted(rows) for name, rows in found.items()}


def _waits_for_another_try(row: RowMapping) -> bool:
    return row.get("state") == "pending" and row["frozen_at"] is not None
