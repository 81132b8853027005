"""Files of SQLite that are damaged: what to do about it, in a sentence."""

import sqlite3
from pathlib import Path

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def damage(error: object, path: str | Path | None) -> str | None:
    """What to tell people when SQLite finds the file damaged; None for any other error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _DAMAGED:
        return None
    return (
        f"{path} is damaged ({error}). Stop the service, then restore a backup, or move the file "
        "away to start with an empty one."
    )
