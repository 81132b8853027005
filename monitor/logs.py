"""The log on standard error: times with their zone, and the sensor if a line is about one."""

import json
import logging
from datetime import datetime

_QUIET = ("apscheduler", "alembic")
"""Libraries whose routine messages say nothing about this service."""


def configure(level: str, form: str) -> None:
    """Sets up the log of this process. `level`: "debug" to "error"; `form`: "text" or "json"."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """`2026-11-23T03:42:00.000+01:00 monitor.scheduler INFO the sensor is down sensor=02:…`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s")

    def formatTime(  # noqa: N802 (the name in the base class)
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002
    ) -> str:
        return _time(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (as above)
        sensor = _sensor(record)
        return super().formatMessage(record) + (f" sensor={sensor}" if sensor else "")


class JsonFormatter(logging.Formatter):
    """One JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "sensor": _sensor(record),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return json.dumps(given, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _sensor(record: logging.LogRecord) -> str | None:
    """The MAC address that was logged with `extra={"sensor": …}`."""
    return getattr(record, "sensor", None)
