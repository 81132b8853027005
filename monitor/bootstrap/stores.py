"""Opens the heartbeat store that is configured in the settings."""

from importlib import import_module

from monitor.model import DAY
from monitor.settings import Settings
from monitor.store.interface import Store


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


def load_store(settings: Settings) -> None:
    """Imports what `open_store` imports, for processes that are forked later: they share it."""
    import_module(f"monitor.store.{'sqlite' if settings.influxdb is None else 'influxdb'}")
