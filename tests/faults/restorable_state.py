"""A state that can be restored quickly."""

import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from sqlalchemy import Engine, text

from monitor.state.database import open_state
from monitor.state.tables import metadata


class RestorableState(ABC):
    """One state; `keep` saves it, `restore` returns to the last save."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = open_state(url)

    @abstractmethod
    def keep(self) -> None: ...

    @abstractmethod
    def restore(self) -> None: ...


class SqliteState(RestorableState):
    """A state in SQLite."""

    def __init__(self, directory: Path) -> None:
        self._file, self._kept = directory / "state.db", directory / "kept.db"
        super().__init__(f"sqlite:///{self._file}")

    def keep(self) -> None:
        shutil.copyfile(self._file, self._kept)

    def restore(self) -> None:
        # A process killed in a transaction leaves a journal.
        for left in self._file.parent.glob(f"{self._file.name}*"):
            left.unlink()
        shutil.copyfile(self._kept, self._file)


class PostgresState(RestorableState):
    """A state in PostgreSQL. Copying rows is faster than creating a database."""

    def keep(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS kept CASCADE"))
            connection.execute(text("CREATE SCHEMA kept"))
            for table in metadata.sorted_tables:
                copy = f'CREATE TABLE kept."{table.name}" AS TABLE "{table.name}"'
                connection.execute(text(copy))

    def restore(self) -> None:
        tables = [table.name for table in metadata.sorted_tables]
        statements = [f'DELETE FROM "{name}"' for name in reversed(tables)]
        statements += [f'INSERT INTO "{name}" SELECT * FROM kept."{name}"' for name in tables]
        with self.engine.begin() as connection:
            connection.exec_driver_sql("; ".join(statements))
