"""Short blind windows, more often than the threshold: no silence can be proven."""

import pytest

from tests.own_outages.rig import DEATHS, Outcome, Place
from tests.own_outages.test_outages import check
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(900)


_KILLS = 3
"""One blind window lasts about 0.3 s: a few are needed for a notice."""


def replace_workers(service: Service) -> None:
    """Kill all workers, and wait until others have been started."""
    killed = service.named("web")[1:]
    for worker in killed:
        worker.kill()

    def replaced() -> bool:
        workers = service.named("web")[1:]
        return len(workers) >= len(killed) and not set(workers) & set(killed)

    eventually(replaced)


def blind_window_every_nine_tenths_of_a_threshold(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            for round_number in range(20):
                for _ in range(_KILLS):
                    replace_workers(service)
                if round_number == 1:
                    monitoring.fleet.kill_next_wave()
                monitoring.wait(0.9)
                if round_number > 1 and monitoring.dead_are_reported():
                    break
        return monitoring.outcome()


@pytest.mark.parametrize("outcome", [blind_window_every_nine_tenths_of_a_threshold], indirect=True)
def test_dead_sensor_is_presumed_down_under_frequent_blind_windows(
    outcome: Outcome,
) -> None:
    check(outcome)
    assert outcome.waited < 0
    assert sum(not row.proven for row in outcome.of_dead_sensors) >= DEATHS
