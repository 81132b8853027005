"""Runs the scenarios of the selected tests in parallel: they mostly wait."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.influxd.server import Access
from tests.own_outages.rig import Outcome, Place, report

AT_ONCE = int(os.environ.get("MONITOR_TEST_AT_ONCE", "3"))

Scenario = Callable[[Place], Outcome]


@pytest.fixture(scope="session")
def running(
    request: pytest.FixtureRequest, influxdb: Access, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Scenario, Future[Outcome]]]:
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    parameters = (call.params for call in calls if call is not None)
    chosen = dict.fromkeys(given["outcome"] for given in parameters if "outcome" in given)
    with ThreadPoolExecutor(AT_ONCE, "outage") as pool:
        yield {
            scenario: pool.submit(
                run_scenario, scenario, tmp_path_factory.mktemp(scenario.__name__), influxdb
            )
            for scenario in chosen
        }
        pool.shutdown(wait=True, cancel_futures=True)


def run_scenario(scenario: Scenario, directory: Path, influxdb: Access) -> Outcome:
    """Run a scenario and print its figures."""
    outcome = scenario(Place(directory, influxdb))
    print(report(scenario.__name__.replace("_", " "), outcome))
    return outcome


@pytest.fixture
def outcome(request: pytest.FixtureRequest, running: Mapping[Any, Future[Outcome]]) -> Outcome:
    """The outcome of the scenario under test."""
    return running[request.param].result()
