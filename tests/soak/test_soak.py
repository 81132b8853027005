"""A short soak test; `make soak` runs a long one."""

import shutil

import pytest

from tests.soak.run import run


@pytest.mark.timeout(400)
def test_fleet_under_random_kills_loses_nothing_and_alerts_only_for_silent_sensors() -> None:
    report = run(minutes=1.2, seed=29, sensors=300, kill_every=15.0)
    assert report.passed, str(report)
    assert report.figures["incidents"]
    shutil.rmtree(report.directory)
