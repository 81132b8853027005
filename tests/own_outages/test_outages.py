"""Our own outages of three thresholds, with a fleet that barely keeps its thresholds."""

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
            monitoring.last()
            influxd.start()
        return monitoring.outcome()


def all_processes_killed(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            service.kill()
            monitoring.last()
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
            monitoring.last()
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
                monitoring.last()
                cable.mend()
            return monitoring.outcome()


def scheduler_down(place: Place) -> Outcome:
    with place.monitoring() as monitoring:
        (service,) = monitoring.services
        with monitoring.outage():
            (scheduler,) = service.named("scheduler")
            scheduler.suspend()
            monitoring.last()
            scheduler.kill()
        return monitoring.outcome()


def check(outcome: Outcome) -> None:
    """No false alert by proof, and the dead are told of, once; so is the outage when it is over."""
    assert outcome.proven == []
    down = [member["mac"] for _, call in outcome.told.of("down") for member in call["members"]]
    assert sorted(map(parse_mac, down)) == sorted(
        [*outcome.dead, *(row.mac for row in outcome.presumed)]
    )
    assert outcome.told.mailed == outcome.told.macs("down").keys()
    assert [row.closed_at for row in outcome.of_the_dead] == [None] * 2 * DEATHS
    assert not outcome.told.macs("recovered").keys() & outcome.dead
    assert outcome.told.notices("Monitoring was ") == 1


@pytest.mark.parametrize("outcome", [store_killed], indirect=True)
def test_the_store_killed(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [all_processes_killed], indirect=True)
def test_all_processes_killed(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [all_processes_stopped], indirect=True)
def test_all_processes_stopped_as_by_a_laptops_lid(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [one_host_cut_off], indirect=True)
def test_one_of_two_hosts_cut_off_from_the_store_while_it_answers(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.presumed == []


@pytest.mark.parametrize("outcome", [scheduler_down], indirect=True)
def test_the_scheduler_down_is_no_blindness(outcome: Outcome) -> None:
    check(outcome)
    assert outcome.told.notices("Monitoring has been behind") == 1
    assert outcome.told.notices("Monitoring was behind") == 1
    assert outcome.presumed == []
    assert outcome.blind == []
