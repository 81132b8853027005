"""Keeps the data directory, and the secret key in it, private to their owner."""

import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monitor.settings import SHORTEST_KEY, SettingsError

logger = logging.getLogger(__name__)

_OWNER_ONLY = 0o700


@contextmanager
def private_files() -> Iterator[None]:
    """In this context, only the owner can access new files and directories, also those that child
    processes create."""
    before = os.umask(0o777 & ~_OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)


def make_private(directory: Path) -> None:
    """Makes an existing directory accessible to its owner only. Logs a warning if it can't."""
    try:
        found = directory.stat()
    except OSError:
        return  # it is created later, or its user reports the error
    if not found.st_mode & 0o077:
        return
    # A directory such as /tmp is shared by all users.
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:
        logger.warning(
            "other users can read the data directory %s; use a directory that only you can read",
            directory,
        )
        return
    try:
        directory.chmod(_OWNER_ONLY)
    except OSError as error:
        logger.warning("other users can read the data directory %s: %s", directory, error.strerror)


def read_or_make(path: Path) -> str:
    """The key in this file. If there is no file, creates one with a new key and syncs it.

    Processes that start at the same time all get the same key. Raises SettingsError if the file
    has no valid key, and OSError if it can't be created.
    """
    if not path.exists():
        _make(path)
    return read(path)


def read(path: Path) -> str:
    """The key in this file. Raises SettingsError if it has no valid key."""
    try:
        key = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError([f"{path}: the secret key can't be read: {why}"]) from error
    if len(key.strip()) < SHORTEST_KEY:
        raise SettingsError(
            [
                f"{path}: this file must hold a secret key of at least {SHORTEST_KEY} characters; "
                "restore it from a backup, or remove it to get a new key; links and logins then "
                "become invalid, and the secrets of channels must be entered again"
            ]
        )
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(_OWNER_ONLY, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as writer:
            writer.write(secrets.token_urlsafe(48))
            writer.flush()
            os.fsync(file)
        with suppress(FileExistsError):  # another process was faster: its key is used
            path.hardlink_to(made)
    finally:
        made.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
