"""Outages of the service of three thresholds, with a fleet that barely keeps its thresholds."""

import pytest

from monitor.model import parse_mac
from tests.influxd.server import Access, InfluxdServer, require_influxd
from tests.own_outages.cable import Cable
from tests.own_outages.rig import DEATHS, Outcome, Place

pytestmark = pytest.mark.timeout(900)


def store_killed(place: Place) -> Outcome:
    with (
        InfluxdServer(require_influxd(), place.directory / "influxd") as influxd,
        place.monitoring([influxd.access], "postgresql") as monitoring,
    ):
        with monitoring.outage():
            influxd.kill()
            monitoring.wait_for_the_outage()
            influxd.start()
        return monitoring.outcome()


def all_processes_killed(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            service.kill()
            monitoring.wait_for_the_outage()
            service.start()
            service.ready()
        return monitoring.outcome()


def all_processes_stopped(place: Place) -> Outcome:
    with place.monitoring(state="postgresql") as monitoring:
        (service,) = monitoring.services
        with monitoring.outage(answered=False):
            family = service.family()
            for process in family:
                process.suspend()
            monitoring.wait_for_the_outage()
            for process in family:
                process.resume()
        return monitoring.outcome()


def one_host_cut_off(place: Place) -> Outcome:
    direct = place.influxd
    with Cable(int(direct.url.rpartition(":")[2])) as cable:
        via_cable = Access(f"http://127.0.0.1:{cable.port}", direct.org, direct.token)
        with place.monitoring([direct, via_cable], "postgresql") as monitoring:
            with monitoring.outage():
                cable.cut()
                monitoring.wait_for_the_outage()
                cable.mend()
            return monitoring.outcome()


def scheduler_down(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            (scheduler,) = service.named("scheduler")
            scheduler.suspend()
            monitoring.wait_for_the_outage()
            scheduler.kill()
        return monitoring.outcome()


def check(outcome: Outcome) -> None:
    """No false alert; each dead sensor is reported once, and so is the outage after it ended."""
    assert outcome.proven == []
    down = [member["mac"] for _, call in outcome.received.of("down") for member in call["members"]]
    assert sorted(map(parse_mac, down)) == sorted(
        [*outcome.dead, *(row.mac for row in [*outcome.presumed, *outcome.late])]
    )
    assert outcome.received.mailed == outcome.received.macs("down").keys()
    assert [row.closed_at for row in outcome.of_dead_sensors] == [None] * 2 * DEATHS
    assert not outcome.received.macs("recovered").keys() & outcome.dead
    assert outcome.received.notices("Monitoring was ") == 1


@pytest.mark.parametrize("outcome", [store_killed], indirect=True)
def test_killed_store_causes_no_false_alert(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [all_processes_killed], indirect=True)
def test_killed_processes_cause_no_false_alert(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [all_processes_stopped], indirect=True)
def test_suspended_processes_cause_no_false_alert(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [one_host_cut_off], indirect=True)
def test_host_without_its_store_causes_no_false_alert(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [scheduler_down], indirect=True)
def test_suspended_scheduler_causes_no_blind_window(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.received.notices("Monitoring has been behind") == 1
    assert outcome.received.notices("Monitoring was behind") == 1
    assert outcome.presumed == []
    assert outcome.blind == []
