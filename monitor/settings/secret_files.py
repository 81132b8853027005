"""Secrets from files: MONITOR_<SECTION>_<NAME>_FILE names a file that holds the secret."""

from collections.abc import Iterable, Mapping
from pathlib import Path

SUFFIX = "_FILE"


def filled_in(
    environment: Mapping[str, str], secrets: Iterable[str], problems: list[str]
) -> dict[str, str]:
    """The environment in which each of the variables `secrets` has the value from its file, if it
    has a file. Line breaks at the end of a file are not part of the secret.

    Adds a sentence to `problems` for each file that can't be used.
    """
    filled = dict(environment)
    for variable in secrets:
        named = variable + SUFFIX
        path = filled.pop(named, "")
        if not path:
            continue
        if environment.get(variable):
            problems.append(f"{named}: must not be set if {variable} is set")
            continue
        try:
            filled[variable] = Path(path).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            problems.append(f"{named}: can't read {path}: {error.strerror}")
        except ValueError:  # not UTF-8, or a path with a NUL character
            problems.append(f"{named}: {path!r} must be the path of a file with UTF-8 text")
        else:
            if not filled[variable]:
                problems.append(f"{named}: {path} is empty")
    return filled
