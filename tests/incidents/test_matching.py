import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.matching import Matcher, attributes, parse
from monitor.model import format_mac

HALL = attributes(0x020000000001, "Door", "Hall A", {"floor": "2"})

words = st.text(alphabet="ab .é", max_size=4).map(str.strip)
patterns = st.text(alphabet="ab *", max_size=6).map(str.strip)
matchers = st.builds(
    Matcher,
    st.sampled_from(["site", "name", "floor", "severity"]),
    st.lists(patterns, min_size=1, max_size=3, unique=True).map(tuple),
    st.booleans(),
)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["site=Hall A"],
        ["site=Hall B|Hall A"],
        ["site = Hall B | Hall A"],
        ["site=Hall*"],
        ["site=*"],
        ["site!=Hall B"],
        ["Site=Hall A"],
        ["mac=02:00:*"],
        ["mac=02-00-00-*"],
        ["mac=0200.0000.0001"],
        ["MAC=02000000000A|020000000001"],
        ["floor=2", "name=D*r"],
        ["severity=critical"],
        ["wing="],
        ["wing!=east"],
    ],
)
def test_sensor_matches_if_all_matchers_match(texts: list[str]) -> None:
    assert parse(texts).match(HALL)


@pytest.mark.parametrize(
    "texts",
    [
        ["site=hall a"],
        ["site=Hall"],
        ["site!=Hall*"],
        ["site="],
        ["mac=02:01:*"],
        ["mac!=02:00:00:00:00:01"],
        ["floor=2", "name=Window"],
        ["severity=warning"],
        ["wing=*east"],
        ["wing!="],
        ["site=Hall A*A"],
    ],
)
def test_sensor_does_not_match_if_one_matcher_fails(texts: list[str]) -> None:
    assert not parse(texts).match(HALL)


def test_label_replaces_the_default_severity_but_not_mac_or_site() -> None:
    own = attributes(1, None, None, {"severity": "warning", "mac": "x", "site": "elsewhere"})
    assert parse(["severity=warning", "site=", "mac=00:00:00:00:00:01"]).match(own)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("site", "'site' is not a matcher; write it like site=Hall A"),
        ("=Hall", "'=Hall' is not a matcher"),
        ("!=Hall", "'!=Hall' is not a matcher"),
        ("site=~Hall.*", "regular expressions and == are not supported"),
        ("site==Hall", "== are not supported"),
        ('site="Hall A"', "remove the quotation marks"),
        ("mac=02:00", "'mac=02:00': '02:00' is not a MAC address like"),
        ("mac=", "is not a MAC address like"),
        ("mac=0200*", "'0200*' can't match a MAC address; write it like 02:00:*"),
        ("mac=0g:*", "can't match a MAC address"),
        ("site=" + "|".join(f"{n}*" for n in range(101)), "at most 100 alternatives"),
    ],
)
def test_invalid_matcher_is_refused_with_the_correct_format(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        parse(["floor=2", text])


def test_too_many_matchers_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 20"):
        parse(["floor=2"] * 21)


@given(st.lists(matchers, max_size=4))
def test_canonical_texts_parse_to_the_same_matchers(given: list[Matcher]) -> None:
    again = parse([str(matcher) for matcher in given])
    assert list(again.matchers) == given
    assert parse(again.texts()) == again


@given(st.integers(0, 2**48 - 1), st.sampled_from([":", "-", ""]))
def test_mac_address_matches_in_any_format(mac: int, separator: str) -> None:
    spelled = mac.to_bytes(6, "big").hex(separator).upper() if separator else f"{mac:012X}"
    matcher = parse([f"mac={spelled}"])
    assert matcher.match(attributes(mac, None, None, {}))
    assert not matcher.match(attributes(mac ^ 1, None, None, {}))
    assert str(matcher) == f"mac={format_mac(mac)}"


@given(matchers, words)
def test_wildcards_match_like_the_equivalent_regular_expression(
    matcher: Matcher, value: str
) -> None:
    expression = "|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in matcher.patterns)
    expected = (re.fullmatch(expression, value) is not None) is not matcher.negated
    assert matcher.match({matcher.name: value}) == expected


@given(matchers, words)
def test_values_of_a_matcher_are_exactly_those_that_match(matcher: Matcher, value: str) -> None:
    values = matcher.values()
    assert values is None or (value in values) == matcher.match({matcher.name: value})


def test_pattern_with_many_wildcards_is_matched_quickly() -> None:
    assert not parse(["name=" + "*a" * 500 + "*b"]).match({"name": "a" * 5_000})
