"""Settings from a TOML file, from MONITOR_<SECTION>_<NAME> variables, and from files with secrets;
reports all errors at once."""

from monitor.settings.loading import (
    INFLUXDB_VARIABLES,
    SHORTEST_KEY,
    SettingsError,
    linked_variables,
    load,
    milliseconds,
    secret_variables,
    variables,
)
from monitor.settings.sections import Settings, StoreSettings
from monitor.settings.warnings import warnings

__all__ = [
    "INFLUXDB_VARIABLES",
    "SHORTEST_KEY",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "linked_variables",
    "load",
    "milliseconds",
    "secret_variables",
    "variables",
    "warnings",
]
