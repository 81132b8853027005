"""Migrates the state's tables, with Alembic."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from monitor.state.database import reading, writing

_DIRECTORY = Path(__file__).parent / "migrations"
_LOCK = 0x68626D  # an arbitrary number that names the lock in PostgreSQL


def migrate(engine: Engine) -> None:
    """Migrates the tables to the newest revision, in one transaction. Can be repeated, and run by
    several processes at once.

    Raises StateUnavailable.
    """
    with reading(engine) as connection:
        if _is_current(connection):
            return
    # Imported only if needed: it takes longer than everything else at startup.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_DIRECTORY).replace("%", "%%"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    """Whether the newest migration was applied. Their file names begin with the revisions."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    applied = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    newest = max(path.name for path in (_DIRECTORY / "versions").glob("[0-9]*.py"))
    return list(applied) == [newest.partition("_")[0]]
