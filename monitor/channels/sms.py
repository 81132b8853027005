"""What fits into an SMS: the subject and one link (3GPP TS 23.038, TS 23.040).

Letters of GSM-7 take 7 bits each; a single other one makes all of them take 16.
"""

import re
from bisect import bisect_right

from monitor.channels.interface import Message

MOST = 4
"""Segments of one message: each is paid for."""

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
_WORTH_READING = 40
_LONGEST = 1_000
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


def checked_number(setting: str, number: str) -> str:
    """A telephone number without its spaces. Raises ValueError."""
    plain = re.sub(r"[ ()./-]", "", number)
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"{setting}: must be a phone number with country code, like +358401234567")
    return plain


def text(message: Message) -> str:
    """The subject and the link to answer for it, or else to the page, in at most MOST segments."""
    subject = " ".join(message.subject.translate(_PLAIN).split())[:_LONGEST]
    url = message.actions[0].url if message.actions else message.link
    with_link = _fitted(subject, f"\n{url}" if url else "")
    # Without a subject worth reading a link is of no use.
    return with_link or _fitted(subject, "")


def segments(content: str) -> int:
    """How many SMS it takes."""
    plain = all(letter in _SEPTETS for letter in content)
    costs = [_SEPTETS[letter] if plain else 1 + (letter > "\uffff") for letter in content]
    alone, joined = (160, 153) if plain else (70, 67)
    if sum(costs) <= alone:
        return 1
    count, room = 1, joined
    for cost in costs:  # a letter is not divided between two
        if cost > room:
            count, room = count + 1, joined
        room -= cost
    return count


def _fitted(subject: str, ending: str) -> str:
    """Both, the subject shortened if need be; nothing if too little of it would be left."""
    if segments(subject + ending) <= MOST:
        return subject + ending

    def needed(length: int) -> int:
        return segments(f"{subject[:length].rstrip()}...{ending}")

    length = bisect_right(range(len(subject)), MOST, key=needed) - 1
    if length < min(_WORTH_READING, len(subject)):
        return ""
    return f"{subject[:length].rstrip()}...{ending}"
