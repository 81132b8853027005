"""Short blind windows, more often than the threshold: no silence can be proven."""

import pytest

from tests.own_outages.rig import DEATHS, Outcome, Place
from tests.own_outages.test_outages import check

pytestmark = pytest.mark.timeout(900)


def blind_window_every_nine_tenths_of_a_threshold(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            for round_number in range(20):
                # A new worker accepts after about a thirtieth of the threshold.
                for worker in service.named("web")[1:]:
                    worker.kill()
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
