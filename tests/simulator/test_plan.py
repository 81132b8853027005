from itertools import pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import SECOND
from monitor.simulator.plan import PlannedHeartbeat, SimulatedFleet, plan

fleets = st.builds(
    SimulatedFleet,
    sensors=st.integers(1, 30),
    interval=st.integers(100, 5 * SECOND),
    jitter=st.floats(0, 1),
    die=st.floats(0, 0.5),
    die_after=st.integers(1, 20 * SECOND),
    return_after=st.none() | st.integers(1, 20 * SECOND),
    flap=st.floats(0, 0.5),
    flap_silence=st.integers(SECOND, 20 * SECOND),
    seed=st.integers(),
)


def reports(fleet: SimulatedFleet, until: int = 30 * SECOND) -> list[PlannedHeartbeat]:
    return list(takewhile(lambda report: report.moment < until, plan(fleet)))


def moments(fleet: SimulatedFleet, mac: int, until: int = 30 * SECOND) -> list[int]:
    return [report.moment for report in reports(fleet, until) if report.mac == mac]


@settings(deadline=None, max_examples=50)
@given(fleets)
def test_same_seed_gives_the_same_plan_in_order_of_time(fleet: SimulatedFleet) -> None:
    planned = reports(fleet)
    assert planned == reports(fleet)
    assert all(before.moment <= after.moment for before, after in pairwise(planned))


@settings(deadline=None, max_examples=50)
@given(fleets)
def test_other_seed_gives_another_plan(fleet: SimulatedFleet) -> None:
    other = SimulatedFleet(sensors=30, interval=SECOND, seed=fleet.seed + 1)
    assert reports(SimulatedFleet(sensors=30, interval=SECOND, seed=fleet.seed)) != reports(other)


@settings(deadline=None, max_examples=50)
@given(fleets)
def test_shares_of_dying_and_flapping_sensors_are_exact_and_disjoint(fleet: SimulatedFleet) -> None:
    assert len(fleet.dying()) == round(fleet.die * fleet.sensors)
    assert len(fleet.flapping()) in (
        round(fleet.flap * fleet.sensors),
        fleet.sensors - len(fleet.dying()),
    )
    assert not fleet.dying() & fleet.flapping()
    everyone = set(range(fleet.first_mac, fleet.first_mac + fleet.sensors))
    assert fleet.dying() | fleet.flapping() <= everyone


@settings(deadline=None, max_examples=50)
@given(fleets)
def test_dead_sensors_send_nothing_until_they_return(fleet: SimulatedFleet) -> None:
    returning = fleet.return_after is not None
    back = fleet.die_after + fleet.return_after if fleet.return_after is not None else 0
    for report in reports(fleet):
        if report.mac in fleet.dying():
            assert report.moment < fleet.die_after or (returning and report.moment >= back)


def test_dead_sensors_return_within_one_interval_and_jitter() -> None:
    fleet = SimulatedFleet(
        sensors=20,
        interval=SECOND,
        jitter=0.5,
        die=1,
        die_after=5 * SECOND,
        return_after=10 * SECOND,
    )
    for mac in fleet.dying():
        assert any(15_000 <= moment <= 16_500 for moment in moments(fleet, mac))


@settings(deadline=None, max_examples=50)
@given(fleets)
def test_live_sensors_report_at_their_interval_within_the_jitter(fleet: SimulatedFleet) -> None:
    troubled = fleet.dying() | fleet.flapping()
    reports_of: dict[int, list[int]] = {
        mac: []
        for mac in range(fleet.first_mac, fleet.first_mac + fleet.sensors)
        if mac not in troubled
    }
    for report in reports(fleet):
        if report.mac not in troubled:
            reports_of[report.mac].append(report.moment)
    for times in reports_of.values():
        assert times[0] < fleet.interval
        for before, after in pairwise(times):
            assert abs(after - before - fleet.interval) <= fleet.jitter * fleet.interval + 1


def test_flapping_sensors_alternate_between_silence_and_reports() -> None:
    fleet = SimulatedFleet(
        sensors=10, interval=SECOND, jitter=0.1, flap=1, flap_silence=10 * SECOND
    )
    for mac in fleet.flapping():
        gaps = [b - a for a, b in pairwise(moments(fleet, mac, until=100 * SECOND))]
        silences = [gap for gap in gaps if gap > 1_100]
        assert 4 <= len(silences) <= 5
        assert all(9_000 <= gap <= 12_200 for gap in silences)


def test_plan_ends_when_all_sensors_are_dead_permanently() -> None:
    assert len(list(plan(SimulatedFleet(sensors=5, interval=SECOND, die=1, die_after=SECOND)))) == 5


def test_invalid_fleet_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the whole fleet"):
        SimulatedFleet(die=0.6, flap=0.6)
    with pytest.raises(ValueError, match="no 2 addresses"):
        SimulatedFleet(sensors=2, first_mac=0xFFFFFFFFFFFF)
