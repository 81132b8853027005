"""Settings from a TOML file and MONITOR_<SECTION>_<NAME> variables; reports all errors at once."""

from monitor.settings.loading import (
    INFLUXDB_VARIABLES,
    SHORTEST_KEY,
    SettingsError,
    load,
    milliseconds,
    variables,
)
from monitor.settings.sections import Settings, StoreSettings

__all__ = [
    "INFLUXDB_VARIABLES",
    "SHORTEST_KEY",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "load",
    "milliseconds",
    "variables",
]
