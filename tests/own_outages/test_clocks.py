"""The wall clock is wrong by an hour for three thresholds, under the running service."""

import pytest
import requests

from tests.own_outages.clockwork import Clockwork
from tests.own_outages.rig import Outcome, Place
from tests.own_outages.test_outages import check

pytestmark = pytest.mark.timeout(900)

HOUR = 3600


def stepped(place: Place, offset: int, *, whole_machine: bool) -> Outcome:
    """`whole_machine`: the store's clock is wrong as well."""
    clockwork = Clockwork(place.directory)
    stores = [None if whole_machine else place.influxd]
    with place.monitoring(stores, **clockwork.environment) as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            clockwork.set(offset)
            monitoring.wait_for_the_outage()
            # Only a difference to the store's clock is detected.
            assert requests.get(f"{service.url}/readyz", timeout=10).ok == whole_machine
            clockwork.set(0)
        service.ready()
        return monitoring.outcome()


def machine_an_hour_ahead(place: Place) -> Outcome:
    return stepped(place, HOUR, whole_machine=True)


def machine_an_hour_behind(place: Place) -> Outcome:
    return stepped(place, -HOUR, whole_machine=True)


def host_an_hour_ahead_of_its_store(place: Place) -> Outcome:
    return stepped(place, HOUR, whole_machine=False)


def host_an_hour_behind_its_store(place: Place) -> Outcome:
    return stepped(place, -HOUR, whole_machine=False)


@pytest.mark.parametrize(
    "outcome",
    [
        machine_an_hour_ahead,
        host_an_hour_ahead_of_its_store,
        host_an_hour_behind_its_store,
    ],
    indirect=True,
)
def test_wrong_and_corrected_clock_causes_no_false_alert(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [machine_an_hour_behind], indirect=True)
def test_clock_set_back_and_corrected_causes_no_false_alert(outcome: Outcome) -> None:
    """Heartbeats from before the repeated hour seem newer than those within it, so some sensors
    are reported twice."""
    assert outcome.proven == outcome.presumed == []
    assert outcome.received.mailed == outcome.received.macs("down").keys() == outcome.dead
    still_open = [row.mac for row in outcome.of_dead_sensors if row.closed_at is None]
    assert sorted(still_open) == sorted(outcome.dead)
    assert outcome.received.notices("Monitoring was blind") == 1
