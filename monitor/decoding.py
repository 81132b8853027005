"""Decodes JSON from a client, a service or a file."""

from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


def from_json(text: bytes | str, shape: type[Shape]) -> Shape:
    """The text decoded as this type. Raises msgspec.DecodeError (or its subclass ValidationError)
    for any invalid input. msgspec itself raises other exceptions if it is nested too deeply or not
    UTF-8."""
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from error
