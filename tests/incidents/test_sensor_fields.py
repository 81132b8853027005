"""Valid names, labels and thresholds of sensors, and how they are written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents import sensor_fields
from monitor.incidents.sensor_fields import LONGEST_THRESHOLD
from monitor.model import SECOND


@given(st.integers(100, LONGEST_THRESHOLD * SECOND) | st.none())
def test_written_threshold_is_read_back(threshold: int | None) -> None:
    assert sensor_fields.threshold(sensor_fields.written(threshold)) == threshold


@given(st.text())
def test_accepted_text_is_accepted_again_unchanged(text: str) -> None:
    try:
        taken = sensor_fields.words("name", text)
    except ValueError:
        return
    assert sensor_fields.words("name", taken or "") == taken


@pytest.mark.parametrize("text", ["x" * 201, "a\nb", "a\0b", "a\u2028b", "\ud800"])
def test_name_must_be_one_line_of_limited_length(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        sensor_fields.words("name", text)


@pytest.mark.parametrize(
    "text", ["floor", "=3", "a b=3", "site=Hall", "x=a\nb", "x=a\x85b", "1a=3"]
)
def test_invalid_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|which has its own field"):
        sensor_fields.label(text)


def test_labels_ignores_spaces_and_empty_labels() -> None:
    assert sensor_fields.labels([" floor = 3 ", "", "room=a=b", "crew="]) == {
        "floor": "3",
        "room": "a=b",
    }
