"""Opens the heartbeat store and the vault that are configured in the settings."""

import os
from pathlib import Path

from monitor import keyfile
from monitor.model import DAY
from monitor.settings import Settings
from monitor.store.interface import Store
from monitor.vault import Vault


def open_store(settings: Settings, writable: bool = False, patience: int | None = None) -> Store:
    """InfluxDB if its variables are set, else the SQLite store.

    `writable`: for the process that ships. `patience`: the maximum time (ms) of a query to
    InfluxDB.
    """
    retention = settings.store.retention_days * DAY
    # A store is imported only if it is used: the InfluxDB client takes 20 MB of memory.
    if settings.influxdb is None:
        from monitor.store.sqlite import SqliteStore

        return SqliteStore(settings.data_directory / "heartbeats.sqlite", retention, writable)
    from monitor.store.influxdb import InfluxStore

    return InfluxStore(
        settings.influxdb.url,
        settings.influxdb.org,
        settings.influxdb.token,
        settings.store.heartbeats_bucket,
        settings.store.arrivals_bucket,
        retention,
        patience,
    )


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
