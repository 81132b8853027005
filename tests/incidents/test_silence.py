import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import Invalid
from monitor.incidents.silence import LONGEST, MuteSpan, Silence, check, held, parse_matchers
from monitor.model import HOUR, Held

NOW = 1_795_395_720_000

spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(
        lambda drawn: MuteSpan(drawn[0], drawn[0] + drawn[1], f"from {drawn[0]}")
    ),
    max_size=8,
)


@given(spans, st.integers(0, 60))
def test_incident_is_held_until_the_first_time_that_no_span_covers(
    given: list[MuteSpan], now: int
) -> None:
    def covered(moment: int) -> bool:
        return any(span.start <= moment < span.stop for span in given)

    until = next(moment for moment in range(now, 200) if not covered(moment))
    found = held(given, now)
    if until == now:
        assert found is None
    else:
        assert found is not None
        assert found.until == until
        assert found.reason in {span.reason for span in given if span.start <= now < span.stop}


def test_hold_has_the_number_and_comment_of_the_silence() -> None:
    silence = Silence(
        7, parse_matchers(["site=Hall"]), NOW, NOW + HOUR, "new\n switch", "anna", NOW
    )
    assert held(silence.spans(NOW, NOW + 1), NOW) == Held(NOW + HOUR, "silence 7 (new switch)")
    assert silence.spans(NOW - HOUR, NOW) == silence.spans(NOW + HOUR, NOW + 2 * HOUR) == []
    long = Silence(7, silence.matchers, NOW, NOW + HOUR, "x" * 900, "anna", NOW)
    [span] = long.spans(NOW, NOW + 1)
    assert len(span.reason) == 200


@pytest.mark.parametrize(
    ("field", "starts_at", "ends_at", "comment"),
    [
        ("starts_at", NOW + LONGEST + 1, NOW + LONGEST + HOUR, "why"),
        ("ends_at", NOW - 2 * HOUR, NOW - HOUR, "why"),
        ("ends_at", NOW + HOUR, NOW + HOUR, "why"),
        ("ends_at", NOW, NOW + LONGEST + 1, "why"),
        ("comment", NOW, NOW + HOUR, " "),
        ("comment", NOW, NOW + HOUR, "x" * 1001),
    ],
)
def test_invalid_silence_is_refused_with_its_field(
    field: str, starts_at: int, ends_at: int, comment: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check(starts_at, ends_at, comment, NOW)
    assert refused.value.field == field


@pytest.mark.parametrize("texts", [[], ["site"]])
def test_silence_needs_valid_matchers(texts: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        parse_matchers(texts)
    assert refused.value.field == "matchers"
