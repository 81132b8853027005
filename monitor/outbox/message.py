"""What a message says. It is read by a person just woken: the subject has to be enough."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from monitor.model import DAY, HOUR, MINUTE, SECOND, Member, format_mac, format_time

LISTED = 10
"""How many members the text names; the rest is a number."""

LISTED_IN_DATA = 1_000
"""How many members the data for programs names."""

_LONGEST_NAME = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def compose(
    kind: str,
    time: int,
    members: Sequence[Member],
    silent: int,
    site: str | None,
    site_sensors: int | None,
    base_url: str,
) -> dict[str, Any]:
    """The frozen body: what every channel sends, as JSON.

    `members` (never empty) are told of in the order given; `silent` counts all open incidents of
    their group; `site`, with its `site_sensors`, is where all members are, if they share one.

    The body: `kind` (down | recovered), `time`, `subject`, `text`, `site`, `site_sensors`,
    `silent`, `count` and `members`, of which the first 1,000 are listed, each with `mac`, `name`,
    `site`, `last_seen`, `threshold_seconds`, `proven`, `opened_at`, `recovered_at`. Moments are
    RFC 3339 in UTC.
    """
    if kind == "down":
        subject = _down(time, members, silent, site, site_sensors)
        lines = [_down_line(time, member, site) for member in members[:LISTED]]
    else:
        subject = _recovered(members, silent, site)
        lines = [_recovered_line(member, site) for member in members[:LISTED]]
    if len(members) > LISTED:
        lines.append(f"- and {len(members) - LISTED} more")
    return {
        "kind": kind,
        "time": format_time(time),
        "subject": subject,
        "text": _text(f"{subject}.", lines, time, base_url),
        "site": site,
        "site_sensors": site_sensors,
        "silent": silent,
        "count": len(members),
        "members": [_data(member) for member in members[:LISTED_IN_DATA]],
    }


def compose_test(time: int, base_url: str) -> dict[str, Any]:
    """A body of kind `test`, about no sensor: it shows that a channel reaches its recipient."""
    subject = "Test message from heartbeat-monitor"
    sentence = "This channel works: messages about silent sensors will arrive like this one."
    return {
        "kind": "test",
        "time": format_time(time),
        "subject": subject,
        "text": _text(sentence, [], time, base_url),
        "site": None,
        "site_sensors": None,
        "silent": 0,
        "count": 0,
        "members": [],
    }


def _down(
    time: int, members: Sequence[Member], silent: int, site: str | None, site_sensors: int | None
) -> str:
    state = "silent" if any(member.proven for member in members) else "presumed silent"
    since = _short(min(member.last_seen for member in members), time)
    of_all = "" if site_sensors is None else f" of {site_sensors}"
    told_earlier = silent > len(members)
    if len(members) == 1:
        who = _name(members[0])
    elif told_earlier:
        who = f"{len(members)} more sensors"
    elif len(members) == site_sensors:
        who = f"All {site_sensors} sensors"
    else:
        who = f"{len(members)}{of_all} sensors"
    in_all = f", {silent}{of_all} in all" if told_earlier else ""
    return f"{who}{_at(site)} {state} since {since}{in_all}"


def _recovered(members: Sequence[Member], silent: int, site: str | None) -> str:
    longest = _duration(max(_silence(member) for member in members))
    still = f"; {silent} still silent" if silent else ""
    if len(members) == 1:
        return f"Recovered: {_name(members[0])}{_at(site)}, silent for {longest}{still}"
    return f"Recovered: {len(members)} sensors{_at(site)}, silent for up to {longest}{still}"


def _down_line(time: int, member: Member, site: str | None) -> str:
    ago = _duration(time - member.last_seen)
    presumed = "" if member.proven else "; presumed, for monitoring was itself interrupted"
    return (
        f"- {_label(member, site)}: last seen {_long(member.last_seen)}, {ago} before this "
        f"message (threshold {_duration(member.threshold)}){presumed}"
    )


def _recovered_line(member: Member, site: str | None) -> str:
    back = member.last_seen + _silence(member)
    return (
        f"- {_label(member, site)}: silent for {_duration(_silence(member))}, "
        f"from {_long(member.last_seen)} to {_long(back)}"
    )


def _silence(member: Member) -> int:
    return max((member.recovered_at or member.last_seen) - member.last_seen, 0)


def _text(sentence: str, lines: Sequence[str], time: int, base_url: str) -> str:
    footer = f"Written {_long(time)}. All sensors: {base_url.rstrip('/')}/"
    paragraphs = [sentence, "\n".join(lines), footer]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def _data(member: Member) -> dict[str, Any]:
    return {
        "mac": format_mac(member.mac),
        "name": member.name,
        "site": member.site,
        "last_seen": format_time(member.last_seen),
        "threshold_seconds": member.threshold / SECOND,
        "proven": member.proven,
        "opened_at": format_time(member.opened_at),
        "recovered_at": None if member.recovered_at is None else format_time(member.recovered_at),
    }


def _name(member: Member) -> str:
    return _clean(member.name or "") or format_mac(member.mac)


def _label(member: Member, site: str | None) -> str:
    """Name and address; the site too unless it is said already."""
    name, mac = _name(member), format_mac(member.mac)
    label = mac if name == mac else f"{name} ({mac})"
    return label if site else label + _at(member.site)


def _at(site: str | None) -> str:
    cleaned = _clean(site or "")
    return f" at {cleaned}" if cleaned else ""


def _clean(text: str) -> str:
    """On one line, without what can't be seen (control characters, changes of direction)."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    joined = " ".join(words)
    return joined if len(joined) <= _LONGEST_NAME else joined[: _LONGEST_NAME - 1].rstrip() + "…"


def _short(moment: int, now: int) -> str:
    """14:03 UTC, with the day when it is not the day of `now`."""
    then, today = _utc(moment), _utc(now)
    if then.date() == today.date():
        return f"{then:%H:%M} UTC"
    return f"{then:%H:%M} UTC on {then.day} {then:%B}" + (
        "" if then.year == today.year else f" {then.year}"
    )


def _long(moment: int) -> str:
    return f"{_utc(moment):%Y-%m-%d %H:%M:%S} UTC"


def _utc(moment: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=moment)


def _duration(milliseconds: int) -> str:
    """Its largest unit and the next, rounded down: 2 h 5 min."""
    for (unit, symbol), (smaller, smaller_symbol) in pairwise(_UNITS):
        whole, rest = divmod(milliseconds, unit)
        if whole:
            return f"{whole} {symbol}" + (
                f" {rest // smaller} {smaller_symbol}" if rest >= smaller else ""
            )
    return f"{milliseconds // SECOND} s"
