"""Opens the vault with the secret key."""

import os
from pathlib import Path

from monitor import keyfile
from monitor.settings import Settings
from monitor.vault import Vault


def open_vault(settings: Settings) -> Vault:
    """The vault with the secret key from the settings, or else from the data directory.

    Raises SettingsError if that key is invalid.
    """
    return Vault(settings.server.secret_key or keyfile.read_or_make(_key_path(settings)))


def check_key(settings: Settings) -> None:
    """Raises SettingsError if the data directory's key is needed but invalid."""
    path = _key_path(settings)
    # Users who can't read the key may run commands that don't need it.
    if not settings.server.secret_key and os.access(path, os.R_OK):
        keyfile.read(path)


def _key_path(settings: Settings) -> Path:
    return settings.data_directory / "secret-key"
