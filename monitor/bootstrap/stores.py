"""The heartbeat store and the vault that the settings choose."""

import os
from pathlib import Path

from monitor import keyfile
from monitor.model import DAY
from monitor.settings import Settings
from monitor.store.interface import Store
from monitor.vault import Vault


def open_store(settings: Settings, writable: bool = False, patience: int | None = None) -> Store:
    """InfluxDB if its variables are set, else the embedded file.

    `writable`: for the one process that ships. `patience`: how long a query to a server may take
    at most (ms).
    """
    retention = settings.store.retention_days * DAY
    # Each store is imported where it is chosen: the client of InfluxDB alone takes 20 MB.
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
    """With the secret key of the settings, or else the one kept in the data directory.

    Raises SettingsError if that key can't be used.
    """
    return Vault(settings.server.secret_key or keyfile.read_or_make(_key_path(settings)))


def check_key(settings: Settings) -> None:
    """Raises SettingsError if the data directory's key is needed and can't be used."""
    path = _key_path(settings)
    # Users who can't read the key may run commands that need none.
    if not settings.server.secret_key and os.access(path, os.R_OK):
        keyfile.read(path)


def _key_path(settings: Settings) -> Path:
    return settings.data_directory / "secret-key"
