"""Values that users send in forms and addresses."""

from collections.abc import Mapping

from flask import request

from monitor.errors import Conflict, Invalid
from monitor.model import GREATEST_ID

_MOST_DIGITS = len(str(GREATEST_ID))


def typed(field: str) -> str:
    """The text in a field of the form, without U+0000, which PostgreSQL can't store."""
    return request.form.get(field, "").replace("\0", "")


def mistake(error: Invalid | Conflict, titles: Mapping[str, str] | None = None) -> dict[str, str]:
    """For templates: the `problem` as a sentence that begins with the field's title, and the name
    of the field that is `wrong`. `titles` has the titles that differ from the field's name."""
    if error.field is None:
        text = str(error)
        return {"problem": f"{text[0].upper()}{text[1:]}.", "wrong": ""}
    title = (titles or {}).get(error.field, error.field.replace("_", " ").capitalize())
    return {"problem": f"{title}: {error}.", "wrong": error.field}


def lines(text: str) -> list[str]:
    """The lines of a text, without empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def row_number(text: str) -> int | None:
    """The id of a row; None if the text is not an id."""
    # Check the length first: int() raises for texts with thousands of digits.
    if not (text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= GREATEST_ID):
        return None
    return int(text)
