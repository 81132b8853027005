import pytest

from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.web.grid.cells import ago


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (-5 * SECOND, "0 s ago"),
        (0, "0 s ago"),
        (59_999, "59 s ago"),
        (MINUTE, "1 min ago"),
        (HOUR - 1, "59 min ago"),
        (HOUR, "1 h ago"),
        (2 * DAY - 1, "47 h ago"),
        (2 * DAY, "2 d ago"),
    ],
)
def test_duration_is_shown_in_one_unit(duration: int, words: str) -> None:
    assert ago(duration) == words
