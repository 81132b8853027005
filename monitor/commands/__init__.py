"""Subcommands that change or show the state: each module adds its own to the parser."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from monitor.errors import MonitorError

Value = TypeVar("Value")


class CommandFailed(MonitorError):
    """The command can't be carried out; the text says why, to the person who gave it."""


def option(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """For argparse: what `read` makes of an option; its ValueError is told as it is."""

    def value(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return value
