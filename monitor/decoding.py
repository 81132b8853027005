"""JSON that others wrote: from a client, a service or a file."""

from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


def from_json(text: bytes | str, shape: type[Shape]) -> Shape:
    """What it holds, in this shape. Raises msgspec.DecodeError for all that can be wrong with it,
    ValidationError among them: msgspec itself has other exceptions for what is nested too deep
    and for bytes that are not UTF-8."""
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from error
