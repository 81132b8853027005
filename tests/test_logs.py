"""The log: zone, sensor, level and form."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from tests.ports import free_port
from tests.service import Service, environment_of
from tests.waiting import eventually

WRITE = """
import logging
from monitor import logs

logs.configure({level!r}, {form!r})
log = logging.getLogger("monitor.test")
log.info("the sensor %s", "is down", extra={{"sensor": "02:00:00:00:00:0a"}})
try:
    raise ValueError("why")
except ValueError:
    log.exception("two\\nlines")
"""


def written(level: str, form: str) -> list[str]:
    """The lines that a process logs in Kolkata."""
    result = subprocess.run(
        [sys.executable, "-c", WRITE.format(level=level, form=form)],
        env={**os.environ, "TZ": "Asia/Kolkata"},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stderr.splitlines()


def test_text_has_the_zone_and_the_sensor() -> None:
    moment, rest = written("info", "text")[0].split(" ", 1)
    assert rest == "monitor.test INFO the sensor is down sensor=02:00:00:00:00:0a"
    assert datetime.fromisoformat(moment).utcoffset() == timedelta(hours=5, minutes=30)


def test_json_is_one_object_a_line() -> None:
    down, failed = map(json.loads, written("info", "json"))
    assert datetime.fromisoformat(down.pop("time")).utcoffset() == timedelta(hours=5, minutes=30)
    assert down == {
        "level": "info",
        "logger": "monitor.test",
        "message": "the sensor is down",
        "sensor": "02:00:00:00:00:0a",
    }
    assert failed["message"] == "two\nlines"
    assert "ValueError: why" in failed["exception"]


def test_level_hides_what_is_below_it() -> None:
    assert [json.loads(line)["level"] for line in written("warning", "json")] == ["error"]


def test_all_processes_of_the_service_log_in_the_form_of_the_settings(tmp_path: Path) -> None:
    variables = {"MONITOR_LOG_FORMAT": "json", "MONITOR_STALENESS_THRESHOLD": "1s"}
    with Service(tmp_path, **variables) as service:
        service.ready()
        service.beat("02:00:00:00:00:0a")

        def logged() -> list[dict[str, str]]:
            lines = service.log.read_text().splitlines()
            return [json.loads(line) for line in lines if not line.startswith("heartbeat-monitor")]

        eventually(lambda: [each for each in logged() if each.get("sensor")])
        (notifier,) = service.named("notifier")
        notifier.kill()
        eventually(lambda: [each for each in logged() if each["logger"] == "monitor.supervisor"])
    assert {each["sensor"] for each in logged() if "sensor" in each} == {"02:00:00:00:00:0a"}


def test_unknown_level_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    environment = environment_of(tmp_path, free_port(), MONITOR_LOG_LEVEL="loud")
    checked = subprocess.run(
        [sys.executable, "-m", "monitor", "check-config"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert 'MONITOR_LOG_LEVEL: must be "debug" or "info" or "warning" or "error"' in checked.stderr
