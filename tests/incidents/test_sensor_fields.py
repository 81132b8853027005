"""What may be said of a sensor, and that it reads back as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents import sensor_fields
from monitor.incidents.sensor_fields import LONGEST_THRESHOLD
from monitor.model import SECOND


@given(st.integers(100, LONGEST_THRESHOLD * SECOND) | st.none())
def test_each_threshold_is_read_back_as_it_was_written(threshold: int | None) -> None:
    assert sensor_fields.threshold(sensor_fields.written(threshold)) == threshold


@given(st.text())
def test_words_that_are_taken_are_taken_again_as_they_are(text: str) -> None:
    try:
        taken = sensor_fields.words("name", text)
    except ValueError:
        return
    assert sensor_fields.words("name", taken or "") == taken


@pytest.mark.parametrize("text", ["x" * 201, "a\nb", "a\0b", "a\u2028b", "\ud800"])
def test_a_name_is_one_line_of_a_moderate_length(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        sensor_fields.words("name", text)


@pytest.mark.parametrize(
    "text", ["floor", "=3", "a b=3", "site=Hall", "x=a\nb", "x=a\x85b", "1a=3"]
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|which has its own field"):
        sensor_fields.label(text)


def test_space_around_a_label_does_not_count_and_an_empty_one_is_none() -> None:
    assert sensor_fields.labels([" floor = 3 ", "", "room=a=b", "crew="]) == {
        "floor": "3",
        "room": "a=b",
    }
