"""When notices about blind windows are sent, and their text."""

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from monitor.model import HOUR, MINUTE, SECOND, parse_time
from monitor.staleness.blindness import BlindWindow
from monitor.staleness.notices import (
    Behind,
    NoticeConfig,
    Notices,
    SentNotices,
    behind,
    behind_text,
    blind_text,
    decide,
)

NOW = parse_time("2026-11-23T14:10:00Z")
EARLIER, LATER = "2026-11-23 14:02:00 UTC", "2026-11-23 14:09:00 UTC"
MANNERS = NoticeConfig(15 * SECOND, 4 * HOUR)
NEVER = SentNotices()
FAR = MANNERS.behind_after


def decided(
    *windows: BlindWindow, sent: SentNotices = NEVER, horizon: int = NOW, now: int = NOW
) -> Notices:
    return decide(sent, horizon, windows, now, 0, MANNERS)


def test_blind_window_is_reported_when_it_ends() -> None:
    window = BlindWindow(NOW - 8 * MINUTE, NOW - MINUTE)
    found = decided(window)
    assert found.blind == [window]
    assert found.sent == SentNotices(0, window.stop, NOW)
    assert decided(window, sent=found.sent).blind == []


def test_open_blind_window_is_not_reported_yet() -> None:
    assert decided(BlindWindow(NOW - 8 * MINUTE, NOW)).blind == []


def test_short_blind_window_is_not_reported() -> None:
    assert decided(BlindWindow(NOW - MINUTE, NOW - MINUTE + 14 * SECOND)).blind == []


def test_many_short_blind_windows_are_reported_together() -> None:
    sent, notices = SentNotices(), 0
    windows: list[BlindWindow] = []
    for round_number in range(60):
        now = NOW + round_number * 9 * MINUTE
        windows.append(BlindWindow(now - 30 * SECOND, now - 10 * SECOND))
        found = decided(*windows, sent=sent, horizon=now, now=now)
        sent, notices = found.sent, notices + bool(found.blind)
    assert notices == 3  # in nine hours
    assert not found.behind


def test_time_before_the_first_coverage_is_not_reported() -> None:
    assert decided(BlindWindow(0, NOW - MINUTE)).blind == []


def test_standstill_is_reported_while_it_lasts_and_when_it_ends() -> None:
    horizon = NOW - FAR - 1
    found = decided(horizon=horizon)
    assert (found.behind, found.sent.behind_since) == (True, horizon)
    assert not decided(sent=found.sent, horizon=horizon, now=NOW + MINUTE).behind
    over = decided(sent=found.sent, horizon=NOW + MINUTE, now=NOW + MINUTE + SECOND)
    assert over.blind == [BlindWindow(horizon, NOW + MINUTE)]
    assert over.sent == SentNotices(0, NOW + MINUTE, NOW + MINUTE + SECOND)
    assert over.only_behind


def test_end_of_standstill_is_reported_as_blindness_if_time_was_not_observed() -> None:
    sent, horizon = SentNotices(NOW - HOUR), NOW - SECOND
    assert not decided(
        BlindWindow(NOW - MINUTE, NOW - SECOND), sent=sent, horizon=horizon
    ).only_behind
    earlier = SentNotices(NOW - HOUR, blind_until=NOW - HOUR)
    assert decided(
        BlindWindow(NOW - 2 * HOUR, NOW - HOUR), sent=earlier, horizon=horizon
    ).only_behind


def test_standstill_with_blindness_already_reported_ends_without_a_second_notice() -> None:
    found = decided(sent=SentNotices(NOW - HOUR, blind_until=NOW))
    assert found == Notices(SentNotices(0, NOW), behind=False, blind=[])


def test_judging_is_behind_since_the_last_horizon_or_the_start_of_watching() -> None:
    assert behind(NOW - HOUR, "", NOW - FAR, NOW, FAR) is None
    found = behind(NOW - HOUR, "The store is away.", NOW - FAR - 1, NOW, FAR)
    assert found == Behind(NOW - HOUR, "The store is away.")
    assert NoticeConfig(15 * SECOND, 4 * HOUR, MINUTE).behind_after == 3 * MINUTE
    never = behind(0, "", NOW - FAR - 1, NOW, FAR)
    assert never == Behind(NOW - FAR - 1, "No sweep has completed since then.")


def test_not_behind_right_after_the_own_process_resumed() -> None:
    assert not decide(SentNotices(), NOW - HOUR, [], NOW, NOW - SECOND, MANNERS).behind


def test_notice_has_start_length_and_count() -> None:
    one = [BlindWindow(NOW - 8 * MINUTE, NOW - MINUTE)]
    subject, _ = blind_text(Notices(NEVER, False, one), UTC)
    assert subject == f"Monitoring was blind between {EARLIER} and {LATER}"
    windows = [
        BlindWindow(NOW - 8 * MINUTE, NOW - 7 * MINUTE),
        BlindWindow(NOW - 2 * MINUTE, NOW - MINUTE),
    ]
    subject, sentences = blind_text(Notices(NEVER, False, windows), UTC)
    assert subject == f"Monitoring was blind 2 times between {EARLIER} and {LATER}, 2 min in all"
    assert "caused no alert" in sentences[0]
    subject, sentences = blind_text(Notices(NEVER, False, one, only_behind=True), UTC)
    assert subject == f"Monitoring was behind between {EARLIER} and {LATER}"
    assert "caused no alert" in sentences[0]
    subject, sentences = behind_text(Behind(NOW - MINUTE, "The store is away."), UTC)
    assert subject == f"Monitoring has been behind since {LATER}"
    assert sentences[0].startswith("The store is away.")


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 120)), max_size=20))
def test_every_blind_window_is_reported_once(steps: list[tuple[int, int]]) -> None:
    config = NoticeConfig(1, 10)
    sent, now, windows = SentNotices(), 1_000, []
    seen: list[BlindWindow] = []
    for apart, blind in steps:
        start = now + apart
        now = start + blind + 1
        if blind:
            windows.append(BlindWindow(start, start + blind))
        found = decide(sent, now, windows, now, 0, config)
        sent, seen = found.sent, [*seen, *found.blind]
    last = decide(sent, now + 100, windows, now + 100, 0, config)
    assert [*seen, *last.blind] == windows
