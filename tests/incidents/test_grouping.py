from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.grouping import (
    MANY_SITES,
    MANY_SITES_FROM,
    NO_SITE,
    TOGETHER_FROM,
    assign,
    cohort,
    has_no_site,
    is_alone,
    is_fleet_wide,
)
from monitor.model import FLEET


def alone(*macs: int) -> dict[int, str]:
    """Earlier incidents without a site, each in a group that was not reported yet."""
    return {mac: cohort(mac, None, False) for mac in macs}


def test_sensors_of_one_site_have_one_cohort() -> None:
    cohorts = assign({1: "North", 2: "North", 3: "South"}, {}, 0, False)
    assert cohorts[1] == cohorts[2] != cohorts[3]
    assert not has_no_site(cohorts[3])


def test_sensors_without_a_site_have_their_own_cohorts_until_there_are_many() -> None:
    few = assign({1: None, 2: None}, alone(3), 1, False)
    assert len(set(few.values())) == 2
    assert all(is_alone(key) for key in few.values())
    many = assign({1: None, 2: None}, alone(3), 2, False)
    assert many == {1: NO_SITE, 2: NO_SITE, 3: NO_SITE}


def test_site_named_like_a_collective_cohort_is_a_site() -> None:
    assert assign({1: NO_SITE}, {}, 9, False)[1] != NO_SITE
    assert assign({1: FLEET}, {}, 9, False)[1] != FLEET


def test_fleet_wide_outage_is_one_cohort() -> None:
    not_reported = {3: "site:North", 4: FLEET, **alone(5)}
    cohorts = assign({1: "North", 2: None}, not_reported, 0, True)
    assert cohorts == {1: FLEET, 2: FLEET, 3: FLEET, 5: FLEET}


def test_outages_at_many_sites_at_once_are_one_cohort() -> None:
    few = {mac: f"S{mac}" for mac in range(MANY_SITES_FROM - 1)}
    assert len(set(assign(few, {}, 0, False).values())) == MANY_SITES_FROM - 1
    more = assign({99: "S99"}, {mac: f"site:{site}" for mac, site in few.items()}, 0, False)
    assert more == dict.fromkeys([*few, 99], MANY_SITES)
    late = assign({7: "S7", 8: None}, {1: MANY_SITES}, 0, False)
    assert late[7] == MANY_SITES
    assert is_alone(late[8])


def test_outage_is_not_fleet_wide_if_one_site_reports() -> None:
    assert is_fleet_wide(overdue=2_000, watched=2_000, sites=4)
    assert not is_fleet_wide(overdue=1_600, watched=2_000, sites=5)
    assert not is_fleet_wide(overdue=2_000, watched=2_000, sites=1)
    assert not is_fleet_wide(overdue=2, watched=2, sites=2)


@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from([None, "", "A", "B"]), max_size=12),
    st.sets(st.integers(50, 60)),
    st.integers(0, 8),
)
def test_each_sensor_has_a_cohort_and_sensors_without_a_site_share_one_only_if_many(
    opening: dict[int, str | None], single: set[int], together: int
) -> None:
    cohorts = assign(opening, alone(*single), together, False)
    assert opening.keys() <= cohorts.keys() <= opening.keys() | single
    strays = [mac for mac, site in opening.items() if not site]
    many = bool(strays) and len(strays) + len(single) + together >= TOGETHER_FROM
    assert all((cohorts[mac] == NO_SITE) == many for mac in strays)
    assert (single <= cohorts.keys()) == (many or not single)
