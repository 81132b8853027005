from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.grouping import NO_SITE, TOGETHER_FROM, assign, site_of


def test_sensors_of_one_site_are_told_of_together() -> None:
    cohorts = assign({1: "North", 2: "North", 3: "South"}, [], 0)
    assert cohorts[1] == cohorts[2] != cohorts[3]
    assert site_of(cohorts[3]) == "South"


def test_strays_are_told_of_alone_until_there_are_many() -> None:
    few = assign({1: None, 2: None}, [3], 1)
    assert len(set(few.values())) == 2
    many = assign({1: None, 2: None}, [3], 2)
    assert many == {1: NO_SITE, 2: NO_SITE, 3: NO_SITE}


def test_a_site_called_like_the_collective_cohort_stays_a_site() -> None:
    assert assign({1: NO_SITE}, [], 9)[1] != NO_SITE


@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from([None, "", "A", "B"]), max_size=12),
    st.sets(st.integers(50, 60)),
    st.integers(0, 8),
)
def test_everyone_that_opens_has_a_cohort_and_strays_share_one_only_when_many(
    opening: dict[int, str | None], alone: set[int], together: int
) -> None:
    cohorts = assign(opening, alone, together)
    assert opening.keys() <= cohorts.keys() <= opening.keys() | alone
    strays = [mac for mac, site in opening.items() if not site]
    many = bool(strays) and len(strays) + len(alone) + together >= TOGETHER_FROM
    assert all((cohorts[mac] == NO_SITE) == many for mac in strays)
    assert (alone <= cohorts.keys()) == (many or not alone)
