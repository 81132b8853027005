"""Subcommands that change or show the state: each module adds its own to the parser."""

import argparse
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from monitor.errors import MonitorError

Value = TypeVar("Value")

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class CommandFailed(MonitorError):
    """The command can't be carried out; the text is the reason, for the user."""


def sentence(summary: str) -> str:
    """The summary of a command as a sentence, for its own help."""
    return f"{summary[0].upper()}{summary[1:]}."


def add_action(actions: Actions, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a subcommand of a subcommand."""
    return actions.add_parser(name, help=summary, description=sentence(summary))


def option(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """A `type` for argparse that calls `read` and shows the text of its ValueError."""

    def value(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return value
