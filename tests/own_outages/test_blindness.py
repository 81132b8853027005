"""Short blindness again and again, more often than a threshold: no silence can be proven."""

import pytest

from tests.own_outages.rig import DEATHS, Outcome, Place
from tests.own_outages.test_outages import check

pytestmark = pytest.mark.timeout(900)


def blindness_every_nine_tenths_of_a_threshold(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            for round_number in range(12):
                # A new worker listens after about a thirtieth of the threshold.
                for worker in service.named("web")[1:]:
                    worker.kill()
                if round_number == 1:
                    monitoring.fleet.let_some_die()
                monitoring.let_pass(0.9)
                if round_number > 1 and monitoring.dead_are_told():
                    break
        return monitoring.outcome()


@pytest.mark.parametrize("outcome", [blindness_every_nine_tenths_of_a_threshold], indirect=True)
def test_who_dies_under_frequent_blindness_is_presumed_dead_while_it_lasts(
    outcome: Outcome,
) -> None:
    check(outcome)
    assert outcome.waited < 0
    assert sum(not row.proven for row in outcome.of_the_dead) >= DEATHS
