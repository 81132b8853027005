"""When a failed message is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.outbox.policy import DELAYS, GIVE_UP_AFTER, next_attempt

NOW = 1_795_395_720_000

chances = st.floats(0, 1, exclude_max=True)
retry_afters = st.none() | st.integers(0, 10**15)


def test_delays_grow_and_the_last_one_repeats() -> None:
    delays = [next_attempt(attempts, NOW, NOW, 0.0) for attempts in range(1, 9)]
    expected = [5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, HOUR, HOUR]
    assert delays == [NOW + delay for delay in expected]


def test_chance_lengthens_the_delay_by_up_to_a_fifth() -> None:
    assert next_attempt(3, NOW, NOW, 0.5) == NOW + 66 * SECOND


def test_retry_after_lengthens_the_delay_and_never_shortens_it() -> None:
    assert next_attempt(1, NOW, NOW, 0.0, 10 * MINUTE) == NOW + 10 * MINUTE
    assert next_attempt(6, NOW, NOW, 0.0, SECOND) == NOW + HOUR


def test_retry_after_is_limited_to_a_day() -> None:
    assert next_attempt(1, NOW, NOW, 0.0, 1000 * DAY) == NOW + DAY


@given(st.integers(1, 200), st.integers(0, GIVE_UP_AFTER - 1), chances, retry_afters)
def test_next_attempt_is_later_and_never_after_the_end(
    attempts: int, age: int, chance: float, retry_after: int | None
) -> None:
    again = next_attempt(attempts, NOW - age, NOW, chance, retry_after)
    assert again is not None
    end = NOW - age + GIVE_UP_AFTER
    assert NOW < again <= end
    assert again >= min(NOW + DELAYS[min(attempts, len(DELAYS)) - 1], end)


@given(chances, retry_afters)
def test_last_attempt_is_at_the_end(chance: float, retry_after: int | None) -> None:
    moment, attempts = NOW, 1
    while (again := next_attempt(attempts, NOW, moment, chance, retry_after)) is not None:
        moment, attempts = again, attempts + 1
    assert moment == NOW + GIVE_UP_AFTER
    assert attempts < 100
