"""The content of a state without ids and keys, so that two states can be compared."""

from collections.abc import Mapping

from sqlalchemy import Engine, RowMapping, select

from monitor.state.database import reading
from monitor.state.tables import metadata

_PER_ATTEMPT = frozenset({"key", "claimed_by", "claimed_until", "attempts"})
_LEFT_OUT = frozenset({"lease"})

Facts = Mapping[str, list[str]]


def facts(engine: Engine) -> Facts:
    """Table -> its rows as text. References show the row referred to, not its id: a transaction
    that was rolled back may have used up ids."""
    contents: dict[str, dict[int, str]] = {}
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        for table in metadata.sorted_tables:  # referenced tables come first
            if table.name in _LEFT_OUT:
                continue
            contents[table.name], found[table.name] = {}, []
            refers = {key.parent.name: key.column.table.name for key in table.foreign_keys}
            for row in connection.execute(select(table)).mappings():
                values = {name: row[name] for name in row if name not in _PER_ATTEMPT}
                number = values.pop("id", None)
                if _waits_for_retry(row):
                    del values["next_attempt_at"]  # random, and depends on the number of attempts
                for column, other in refers.items():
                    values[column] = contents[other][values[column]]
                text = repr(sorted(values.items()))
                found[table.name].append(text)
                if number is not None:
                    contents[table.name][number] = text
    return {name: sorted(rows) for name, rows in found.items()}


def _waits_for_retry(row: RowMapping) -> bool:
    return row.get("state") == "pending" and row["frozen_at"] is not None
