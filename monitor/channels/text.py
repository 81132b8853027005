"""What chats show of a message: the subject, the evidence, and where to go."""

from monitor.channels.interface import Message

SYMBOLS = {"recovered": "✅", "notice": "ℹ️", "test": "ℹ️"}
"""By kind; anything else is an alarm."""

ALARM = "🔴"


def title(message: Message) -> str:
    """The subject with a sign for those who only glance at it."""
    return f"{SYMBOLS.get(message.kind, ALARM)} {message.subject}"


def evidence(message: Message) -> str:
    """The text without the subject, and without the links that are shown by themselves."""
    urls = [action.url for action in message.actions]
    paragraphs = message.text.strip().split("\n\n")
    return "\n\n".join(
        paragraph
        for paragraph in paragraphs
        if paragraph != f"{message.subject}." and not any(url in paragraph for url in urls)
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the cut marked."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shortened_bytes(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, the cut marked."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode("utf-8", "ignore").rstrip() + "…"
