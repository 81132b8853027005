"""A live heartbeat with a wrong `time` proves that the sensor is alive now."""

import json

import pytest

from monitor.clock import Clock
from monitor.ingest.fields import DETAILS, TIME_AHEAD, TIME_TOO_OLD, UNREADABLE_TIME
from monitor.model import SECOND
from tests.ingest.test_http import MAC, Front, front

__all__ = ["front"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("5", TIME_TOO_OLD), ("90 s ahead", TIME_AHEAD), ("12:30", UNREADABLE_TIME)],
)
@pytest.mark.parametrize("way", ["JSON", "form", "query"])
def test_heartbeat_with_a_wrong_time_is_stamped_on_receipt_and_the_field_named(
    front: Front, way: str, wrong: str, reason: str
) -> None:
    stamp = str(Clock().now() + 90 * SECOND) if reason == TIME_AHEAD else wrong
    form = f"mac_address={MAC}&time={stamp}"
    if way == "JSON":
        response = front.beat(time=int(stamp) if stamp.isdigit() else stamp)
    elif way == "form":
        response = front.client.post("/heartbeat", data=form, content_type="text/plain")
    else:
        response = front.client.get(f"/heartbeat?{form}")
    assert response.status_code == 200
    reply = json.loads(response.text)
    assert reply["time"] == reply["server_time"]
    assert "skew_seconds" not in reply
    assert reply["ignored"] == [{"field": "time", "detail": DETAILS[reason]}]
    assert front.ignored.totals()[reason] == 1
