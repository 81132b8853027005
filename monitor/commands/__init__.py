"""Subcommands that change or show the state: each module adds its own to the parser."""


class CommandFailed(Exception):
    """The command can't be carried out; the text says why, to the person who gave it."""
