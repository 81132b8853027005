"""Runs the outages of the tests selected, several at once: most of their time is waiting."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
    chosen = dict.fromkeys(
        call.params["outcome"] for call in calls if call and "outcome" in call.params
    )
    with ThreadPoolExecutor(AT_ONCE, "outage") as pool:
        yield {
            scenario: pool.submit(
                scenario, Place(tmp_path_factory.mktemp(scenario.__name__), influxdb)
            )
            for scenario in chosen
        }
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def outcome(request: pytest.FixtureRequest, running: Mapping[Any, Future[Outcome]]) -> Outcome:
    """What came of the scenario that the test is about."""
    outcome = running[request.param].result()
    print(report(request.param.__name__.replace("_", " "), outcome))
    return outcome
