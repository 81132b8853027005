"""A message's text for chats: the subject, the evidence and the links."""

from monitor.channels.interface import Message

SYMBOLS = {"recovered": "✅", "notice": "ℹ️", "test": "ℹ️"}
"""Kind -> symbol; all other kinds have ALARM."""

ALARM = "🔴"


def title(message: Message) -> str:
    """The subject with a symbol for the kind of message."""
    return f"{SYMBOLS.get(message.kind, ALARM)} {message.subject}"


def evidence(message: Message) -> str:
    """The text without the subject and without the links, which are shown separately."""
    urls = [action.url for action in message.actions]
    paragraphs = message.text.strip().split("\n\n")
    return "\n\n".join(
        paragraph
        for paragraph in paragraphs
        if paragraph != f"{message.subject}." and not any(url in paragraph for url in urls)
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters; a cut is marked with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shortened_bytes(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8; a cut is marked with an ellipsis."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode("utf-8", "ignore").rstrip() + "…"
