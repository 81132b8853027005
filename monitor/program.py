"""How to start `monitor` here, for hints: with the path and the settings file of this process."""

import argparse
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path


@cache
def command() -> str:
    """What to type before a subcommand, such as `.venv/bin/monitor --config site.toml`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--config")
    config = options.parse_known_args(sys.argv[1:])[0].config
    return shlex.join([*_program(), *(["--config", config] if config else [])])


def _program() -> list[str]:
    script = Path(sys.executable).with_name("monitor")
    if not script.exists():
        return [sys.executable, "-m", "monitor"]
    found = shutil.which("monitor")
    if found is not None and Path(found).samefile(script):
        return ["monitor"]
    return [str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)]
