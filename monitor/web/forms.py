"""What people send by forms and addresses."""

from collections.abc import Mapping

from flask import request

from monitor.errors import Conflict, Invalid
from monitor.model import GREATEST_ID

_MOST_DIGITS = len(str(GREATEST_ID))


def typed(field: str) -> str:
    """What a field of the form holds, without what PostgreSQL keeps in no text."""
    return request.form.get(field, "").replace("\0", "")


def mistake(error: Invalid | Conflict, titles: Mapping[str, str] | None = None) -> dict[str, str]:
    """For the template: the `problem` as a sentence after the field's title, and the field that is
    `wrong`. `titles`: field -> title, where the title is not the field's own name."""
    if error.field is None:
        text = str(error)
        return {"problem": f"{text[0].upper()}{text[1:]}.", "wrong": ""}
    title = (titles or {}).get(error.field, error.field.replace("_", " ").capitalize())
    return {"problem": f"{title}: {error}.", "wrong": error.field}


def lines(text: str) -> list[str]:
    """Matchers, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def row_number(text: str) -> int | None:
    """The number of a row, if it is one."""
    # Only so many digits: Python itself refuses to read some thousands.
    if not (text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= GREATEST_ID):
        return None
    return int(text)
