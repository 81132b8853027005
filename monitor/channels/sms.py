"""A message's text for SMS: the subject and one link (3GPP TS 23.038, TS 23.040).

A GSM-7 character takes 7 bits. If the text has any other character, each character takes 16.
"""

import re
from bisect import bisect_right

from monitor.channels.interface import Message

MOST = 4
"""The maximum number of segments of one message: each costs money."""

_SINGLE = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = "\f^{}\\[~]|€"
_SEPTETS = dict.fromkeys(_SINGLE, 1) | dict.fromkeys(_ESCAPED, 2)

_PLAIN = str.maketrans(
    {
        "…": "...",
        "–": "-",
        "—": "-",
        "‑": "-",
        "‘": "'",
        "’": "'",
        "`": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "\N{NO-BREAK SPACE}": " ",
    }
)
_SHORTEST_SUBJECT = 40
_LONGEST = 1_000
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


def checked_number(setting: str, number: str) -> str:
    """The phone number without spaces and punctuation. Raises ValueError."""
    plain = re.sub(r"[ ()./-]", "", number)
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"{setting}: must be a phone number with country code, like +358401234567")
    return plain


def text(message: Message) -> str:
    """The subject and a link, to acknowledge or else to the page, in at most MOST segments."""
    subject = " ".join(message.subject.translate(_PLAIN).split())[:_LONGEST]
    url = message.actions[0].url if message.actions else message.link
    with_link = _fit(subject, f"\n{url}" if url else "")
    # A link is useless without a readable subject.
    return with_link or _fit(subject, "")


def segments(content: str) -> int:
    """The number of SMS segments that the text takes."""
    plain = all(letter in _SEPTETS for letter in content)
    costs = [_SEPTETS[letter] if plain else 1 + (letter > "\uffff") for letter in content]
    alone, joined = (160, 153) if plain else (70, 67)
    if sum(costs) <= alone:
        return 1
    count, room = 1, joined
    for cost in costs:  # a character is not split between two segments
        if cost > room:
            count, room = count + 1, joined
        room -= cost
    return count


def _fit(subject: str, ending: str) -> str:
    """Subject and ending; the subject is shortened if necessary. "" if it would be too short."""
    if segments(subject + ending) <= MOST:
        return subject + ending

    def needed(length: int) -> int:
        return segments(f"{subject[:length].rstrip()}...{ending}")

    length = bisect_right(range(len(subject)), MOST, key=needed) - 1
    if length < min(_SHORTEST_SUBJECT, len(subject)):
        return ""
    return f"{subject[:length].rstrip()}...{ending}"
