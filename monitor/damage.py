"""The error message for a damaged SQLite file."""

import sqlite3
from pathlib import Path

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def damage(error: object, path: str | Path | None) -> str | None:
    """What to do if SQLite reports that the file is damaged; None for any other error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _DAMAGED:
        return None
    return (
        f"{path} is damaged ({error}). Stop the service, then restore a backup, or move the file "
        "away to start with an empty one."
    )
